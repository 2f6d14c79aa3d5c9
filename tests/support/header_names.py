"""Request fields that proxies, gateways, clouds and frameworks use, as their documentation has them."""

IDENTITY = """
Authorization X-Authorization Cookie Cookie2 From DPoP Signature Signature-Input
X-Api-Key Api-Key ApiKey X-ApiKey X-Api-Token X-App-Key X-Access-Key X-Auth-Key X-Secret-Key X-Client-Secret X-Client-Id
X-Auth-Token X-Access-Token X-Token Access-Token Auth-Token Token Id-Token X-Id-Token Private-Token Job-Token X-Session-Token
X-Session X-Session-Id Session X-CSRF-Token X-XSRF-TOKEN X-Jwt X-JWT-Assertion X-Jwt-Payload X-Bearer X-Ticket X-Otp X-Password
X-User X-User-Id X-UserId X-User-Name X-Username X-User-Email X-User-Role X-User-Roles X-Roles X-Role X-Groups X-Permissions
X-Email X-Login X-Uid X-Subject X-Sub X-Principal X-Identity X-Userinfo X-Claims X-Claim-Sub X-Account-Id X-Customer-Id X-Owner
X-Tenant X-Tenant-Id X-TenantId X-Org-Id X-Organization-Id X-Scope-OrgID X-Grafana-Org-Id X-Company-Id X-Member-Id X-Actor
X-Authenticated-User X-Authenticated-Userid X-Authenticated-Scope X-Authenticated-Groups X-Auth-User X-WEBAUTH-USER
X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token
X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
X-Forwarded-Client-Cert X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info
Remote-User Remote-Groups Remote-Name Remote-Email X-Remote-User X-Remote-Group X-Remote-Groups X-Remote-Extra-Scopes
X-Client-Cert Client-Cert Client-Cert-Chain X-Client-Dn X-SSL-Cert X-SSL-Client-Cert X-SSL-Client-CN X-SSL-Client-S-DN X-SSL-User
SSL-Client-Cert Ssl-Client-Subject-Dn Ssl-Client-Verify X-ARR-ClientCert X-Amzn-Mtls-Clientcert X-Amzn-Mtls-Clientcert-Subject
Ocp-Apim-Subscription-Key X-Ms-Client-Principal X-Ms-Client-Principal-Id X-Ms-Client-Principal-Name X-Ms-Client-Principal-Idp
X-Ms-Token-Aad-Access-Token X-Ms-Token-Aad-Id-Token X-ZUMO-AUTH X-Functions-Key
X-Amz-Security-Token X-Amzn-Oidc-Accesstoken X-Amzn-Oidc-Data X-Amzn-Oidc-Identity
X-Goog-Iap-Jwt-Assertion X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Goog-Api-Key X-Goog-Iam-Authorization-Token
X-Serverless-Authorization X-Endpoint-Api-UserInfo X-Apigateway-Api-Userinfo X-Original-Authorization
Cf-Access-Jwt-Assertion Cf-Access-Authenticated-User-Email Cf-Access-Client-Id Cf-Access-Client-Secret
X-Consumer-Id X-Consumer-Username X-Consumer-Custom-Id X-Credential-Identifier X-Anonymous-Consumer X-IBM-Client-Id
X-IBM-Client-Secret X-RapidAPI-Key X-Mashape-Key X-RapidAPI-User X-Subscription-Token
X-Authentik-Username X-Authentik-Email X-Authentik-Groups X-Authentik-Jwt X-Pomerium-Jwt-Assertion X-Pomerium-Claim-Email
X-Vouch-User X-Vouch-Idp-Claims-Sub Tailscale-User-Login Tailscale-User-Name X-Shib-User Shib-Session-Id Eppn
Sm-User Sm-Universalid Sm-Authentic Iv-User Iv-Groups Iv-Creds Oam-Remote-User Oidc-Claim-Email Oidc-Claim-Sub Oidc-Access-Token
X-Hasura-Role X-Hasura-User-Id X-Hasura-Admin-Secret X-Parse-Session-Token X-Parse-Application-Id X-Parse-REST-API-Key
X-Vault-Token X-Consul-Token X-Shopify-Access-Token X-Goog-Cookie Impersonate-User Impersonate-Group Sudo X-On-Behalf-Of
X-MSISDN X-Nokia-IMSI X-Up-Calling-Line-Id X-Cart-Id X-CurrentUser X-BasicAuth
X-Okta-User X-Cognito-Identity X-Saml-Assertion X-Sso-User X-Oauth-Scopes X-End-User X-Real-User X-Person-Id X-Employee-Id
""".split()
"""Fields that carry a credential or name who calls."""

ORDINARY = """
Accept Accept-Language Accept-Encoding Accept-Version User-Agent X-Requested-With Referer Origin DNT Save-Data Content-Type
Cache-Control Pragma If-None-Match If-Modified-Since Range Upgrade-Insecure-Requests Sec-Fetch-User Sec-Fetch-Mode
Sec-Fetch-Dest Sec-CH-UA Sec-CH-UA-Platform Sec-WebSocket-Key Priority X-Request-ID X-Correlation-ID Traceparent Tracestate
Baggage X-B3-TraceId X-Amzn-Trace-Id X-Cloud-Trace-Context X-Datadog-Trace-Id Idempotency-Key X-Amz-User-Agent X-Api-Version
X-Country X-Device-Type X-Platform X-App-Version X-Feature-Flags X-Locale X-Currency X-Channel X-Forwarded-Proto
""".split()
"""Fields that say how or what is asked, and nothing of who asks."""
