// What makes the console pleasant; every page works without it.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (text) => { const live = $("#live"); live.textContent = ""; requestAnimationFrame(() => { live.textContent = text; }); };

  // Times in the reader's zone: relative text, the exact time in the tooltip.
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const UNITS = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  function tell(element) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) return;
    const seconds = (at - Date.now()) / 1000;
    element.title = exact.format(at);
    if (element.dataset.exact !== undefined) { element.textContent = exact.format(at); return; }
    const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) || ["second", 1];
    element.textContent = unit === "second" && Math.abs(seconds) < 10
      ? (seconds > 0 ? "in a moment" : "just now") : relative.format(Math.trunc(seconds / size), unit);
  }
  const times = (root = document) => $$("time[datetime]", root).forEach(tell);
  setInterval(times, 30000);

  // Theme switch.
  function theme() {
    const choice = globalThis.apimgrTheme.get();
    $$("[data-theme-set]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.themeSet === choice)));
  }
  addEventListener("themechange", theme);

  // Dialogs: a link to a page that asks first (templates/cotton/ask.html) opens its form here.
  const dialog = () => $("#dialog");
  let opener = null;
  function close() { if (dialog()?.open) dialog().close(); }

  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-theme-set],[data-copy],[data-close],[data-dismiss]");
    if (!target) return;
    if (target.dataset.themeSet) globalThis.apimgrTheme.set(target.dataset.themeSet);
    if (target.dataset.close !== undefined && dialog()?.open) { event.preventDefault(); close(); }
    if (target.dataset.dismiss !== undefined) target.closest("[data-dismissible]")?.remove();
    if (target.dataset.copy) {
      const text = $(target.dataset.copy)?.textContent.trim() ?? "";
      try { await navigator.clipboard.writeText(text); } catch {
        const range = document.createRange();
        range.selectNodeContents($(target.dataset.copy));
        getSelection().removeAllRanges(); getSelection().addRange(range);
        document.execCommand("copy");
      }
      target.dataset.copied = ""; say("Copied");
      const label = $("span", target);
      if (label) { const before = label.textContent; label.textContent = "Copied"; setTimeout(() => { label.textContent = before; delete target.dataset.copied; }, 2000); }
    }
  });

  // Menus close when the reader goes elsewhere.
  document.addEventListener("click", (event) => {
    $$("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });

  // Keyboard: "/" searches, "g" and a letter goes to a page, "?" names them, Escape closes.
  let pending = 0;
  const typing = (element) => element.closest("input,select,textarea,[contenteditable]") !== null;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      $$("details.menu[open]").forEach((menu) => { menu.open = false; $("summary", menu).focus(); });
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || dialog()?.open) return;
    if (event.key === "/") {
      const field = $("#list-search") || $("#search");
      if (field) { event.preventDefault(); if (field.offsetParent === null) $("#side")?.showPopover?.(); field.focus(); field.select(); }
    } else if (event.key === "g") {
      pending = Date.now();
    } else if (Date.now() - pending < 1500) {
      pending = 0;
      const link = $$("[data-go]").find((element) => element.dataset.go === event.key);
      if (link) { event.preventDefault(); link.click(); }
    } else if (event.key === "?") {
      const help = $("[data-help]");
      if (help) { event.preventDefault(); help.click(); }
    }
  });

  // What was typed into a large form (data-keep) isn't lost by leaving without asking. The browser is told only while something
  // is unsaved: a page that listens is not kept for the way back. A form that came back refused is unsaved from the start.
  const kept = new Map();
  // Fields of a sample (data-passing) are never saved.
  const typed = (form) => {
    const passing = new Set($$("[data-passing] [name]", form).map((field) => field.name));
    const values = [...new FormData(form)].filter(([name]) => !passing.has(name));
    return JSON.stringify(values.map(([name, value]) => [name, value instanceof File ? [value.name, value.size] : value]));
  };
  const ask = (event) => event.preventDefault();
  function keep(begin) {
    $$("form[data-keep]").forEach((form) => { if (begin) kept.set(form, $(".errors,.t-error,[role=alert]", form) ? null : typed(form)); });
    const unsaved = [...kept].some(([form, before]) => form.isConnected && typed(form) !== before);
    (unsaved ? addEventListener : removeEventListener)("beforeunload", ask);
  }
  ["input", "change", "htmx:afterSettle"].forEach((name) => document.addEventListener(name, (event) => { if (kept.size && event.target.closest?.("form[data-keep]")) keep(); }));

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (kept.has(event.target)) removeEventListener("beforeunload", ask);
    document.documentElement.classList.add("is-busy");
    if (event.target.dataset.busy) wait(event.target);
  });
  // What takes a while says so, and for how long it has.
  function wait(form) {
    const button = $("[type=submit]", form);
    const [began, label] = [Date.now(), button.textContent];
    const tick = () => { button.textContent = `${form.dataset.busy}: ${Math.round((Date.now() - began) / 1000)} s`; };
    button.disabled = true;
    say(form.dataset.busy);
    tick();
    const ticking = setInterval(tick, 1000);
    // The way back shows the page as it was left.
    addEventListener("pagehide", () => { clearInterval(ticking); button.disabled = false; button.textContent = label; }, { once: true });
  }
  addEventListener("pageshow", () => document.documentElement.classList.remove("is-busy"));

  // htmx
  document.addEventListener("htmx:beforeRequest", () => document.documentElement.classList.add("is-busy"));
  document.addEventListener("htmx:afterRequest", (event) => {
    document.documentElement.classList.remove("is-busy");
    if (!event.detail.successful && event.detail.xhr?.status !== 422) say("That did not work. Nothing was changed.");
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    times(event.target);
    if (event.target.id === "dialog-body" && !dialog().open) {
      opener = document.activeElement;
      dialog().showModal();
    }
    const first = $("[aria-invalid=true]", event.target) || (event.target.id === "dialog-body" ? $("[autofocus],input:not([type=hidden]),textarea,select", event.target) : null);
    first?.focus();
    const said = $("[data-say]", event.target);
    if (said) say(said.dataset.say);
  });

  addEventListener("DOMContentLoaded", () => {
    times(); theme(); keep(true);
    $$("dialog").forEach((element) => element.addEventListener("click", (event) => { if (event.target === element) element.close(); }));
    dialog()?.addEventListener("close", () => opener?.focus());
    $("[aria-invalid=true]")?.focus();
    // A plain confirmation leaves by itself; a refusal stays until it is read.
    $$("[data-fades]").forEach((toast) => setTimeout(() => { if (!toast.matches(":hover,:focus-within")) toast.remove(); }, 8000));
  });
})();
