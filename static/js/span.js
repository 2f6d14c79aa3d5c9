// The time control: the reader's own span is typed and shown in the reader's zone.
(() => {
  const two = (number) => String(number).padStart(2, "0");
  const local = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;

  function localise() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const form of document.querySelectorAll("form[data-zone]")) {
      form.elements.zone.value = zone;
      for (const field of form.querySelectorAll("[data-at]")) field.value = local(new Date(field.dataset.at));
      form.querySelector("[data-zone-name]").textContent = `Times in ${zone}.`;
    }
  }
  addEventListener("DOMContentLoaded", localise);

  // On a narrow screen the filters make room for what they filter; on a wide one they are always there.
  const narrow = matchMedia("(max-width: 47.99rem)");
  const fold = () => document.querySelectorAll("[data-folds]").forEach((details) => { details.open = !narrow.matches; });
  addEventListener("DOMContentLoaded", fold);
  narrow.addEventListener("change", fold);

  // A filter narrows as soon as it is chosen; empty ones stay out of the address.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-narrow]")) return;
    for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-narrow]");
    if (form && event.target.matches("select")) form.requestSubmit();
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-narrow] [disabled]").forEach((field) => { field.disabled = false; }));
})();
