// The REST API's documentation: Swagger UI over our schema. Calls made from the page carry the session's CSRF token.
"use strict";

const docs = document.getElementById("docs");

SwaggerUIBundle({
  url: docs.dataset.schema,
  domNode: docs,
  deepLinking: true,
  requestInterceptor(request) {
    if (!["GET", "HEAD"].includes(request.method)) {
      request.headers["X-CSRFToken"] = docs.dataset.csrf;
    }
    return request;
  },
});
