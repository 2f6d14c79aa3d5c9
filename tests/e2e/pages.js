// What a page looks like, as numbers: what is wider than it, its first headings, and text that can hardly be read.
() => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  };
  const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      const colour = rgba(style.backgroundColor);
      layers.push(colour);
      if (colour[3] > 0.99) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), rgba("Canvas").slice(0, 3));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => { const [low, high] = [light(one), light(other)].sort((a, b) => a - b); return (high + 0.05) / (low + 0.05); };
  const name = (element) => `${element.tagName.toLowerCase()}.${[...element.classList].join(".")} “${element.textContent.trim().slice(0, 30)}”`;
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  const texts = [...document.body.querySelectorAll("*")].filter((element) => shown(element) && !element.closest("[disabled], svg, option, noscript, .visually-hidden, .skip")
    && [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()));
  const faint = new Set();
  for (const element of texts) {
    const behind = ground(element);
    if (!behind) continue;
    const ratio = contrast(over(rgba(getComputedStyle(element).color), behind), behind);
    if (ratio < 4.4) faint.add(`${name(element)} ${ratio.toFixed(1)}`);
  }
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const beyond = wide <= 0 ? [] : [...document.body.querySelectorAll("*")].filter((element) => shown(element) && element.getBoundingClientRect().right > innerWidth + 1).slice(-3).map(name);
  return { headings: document.querySelectorAll("h1").length, wide, beyond, faint: [...faint] };
}
