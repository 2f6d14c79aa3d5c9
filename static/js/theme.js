// Runs before anything is painted, so that a page never flashes in the wrong theme.
(() => {
  const KEY = "apimgr.theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const read = () => { try { return localStorage.getItem(KEY) || "auto"; } catch { return "auto"; } };
  const apply = () => {
    const choice = read();
    const dark = choice === "dark" || (choice === "auto" && system.matches);
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
    document.documentElement.dataset.themeChoice = choice;
    dispatchEvent(new CustomEvent("themechange"));
  };
  globalThis.apimgrTheme = {
    get: read,
    set(choice) { try { localStorage.setItem(KEY, choice); } catch { /* private mode: for this page only */ } apply(); },
  };
  system.addEventListener("change", apply);
  addEventListener("storage", (event) => { if (event.key === KEY) apply(); });
  apply();
})();
