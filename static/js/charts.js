// Draws the charts of a page from the data beside them. Every chart has its numbers in a table too: nothing is only here.
(() => {
  const THIN = "\u00a0";
  const drawn = new Map(); // element -> {chart, observer}
  const css = (() => {
    const probe = document.createElement("i");
    return (name) => {
      probe.hidden = true;
      document.body.append(probe);
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
  })();

  // Numbers as the server writes them: three significant digits, the unit beside.
  const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const scaled = (value, units, base) => {
    let at = 0;
    while (Math.abs(value) >= base && at < units.length - 1) { value /= base; at += 1; }
    return `${digits.format(value)}${THIN}${units[at]}`;
  };
  const FORMATS = {
    calls: (value) => whole.format(value),
    ratio: (value) => `${digits.format(value * 100)}${THIN}%`,
    ms: (value) => scaled(value, ["ms", "s"], 1000),
    size: (value) => scaled(value, ["B", "kB", "MB", "GB", "TB"], 1000),
  };
  const tell = (unit, value) => (value === null || value === undefined ? "–" : FORMATS[unit](value));
  const TICKS = { ...FORMATS, calls: (value) => (value >= 10000 ? scaled(value, ["", "k", "M", "G"], 1000).replace(THIN, "") : whole.format(value)) };

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const both = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  // A gap is hatched: its colour alone would be one more meaning.
  function hatch() {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.strokeStyle = css("--c-quiet");
    pen.lineWidth = 1.5;
    for (const shift of [-8, 0, 8]) { pen.moveTo(shift, 8); pen.lineTo(shift + 8, 0); }
    pen.stroke();
    return { image: tile, repeat: "repeat" };
  }

  const STROKES = { solid: "solid", dashed: [7, 3], dotted: [2, 3] };
  // Lines of one colour differ in their points too, in the legend as in the chart: a dash is too short to be told in a legend.
  const SYMBOLS = { solid: "circle", dashed: "triangle", dotted: "rect" };

  // What is stacked differs in its pattern too, in the legend as in the chart. Only gaps are hatched like "/".
  const dots = (gap, size) => ({ symbol: "circle", symbolSize: size, dashArrayX: [[0, gap], [gap, 0]], dashArrayY: [gap / 2, 0], rotation: 0 });
  const stripes = (rotation, gap) => ({ symbol: "rect", symbolSize: 1, dashArrayX: [1, 0], dashArrayY: [1.5, gap], rotation });
  const PATTERNS = {
    hit: null, revalidated: dots(8, 0.5), stale: stripes(0, 2.5), miss: stripes(Math.PI / 4, 6), bypass: stripes(Math.PI / 2, 6),
    draft: dots(14, 0.4), active: null, pending: stripes(0, 2.5), error: stripes(Math.PI / 4, 6),
    "series-1": null, "series-2": stripes(0, 2.5), "series-3": dots(8, 0.5), "series-4": stripes(Math.PI / 2, 6), "series-5": stripes(Math.PI / 4, 6),
  };
  const patternOf = (line) => {
    const pattern = line.stacked && PATTERNS[line.colour];
    return pattern ? { ...pattern, color: css("--tblr-bg-surface") } : undefined;
  };

  function seriesOf(data, line, axis) {
    const colour = css(`--c-${line.colour}`);
    const single = data.at.length < 3;
    const decal = patternOf(line);
    return {
      name: line.name,
      type: line.kind === "bar" ? "bar" : "line",
      yAxisIndex: axis,
      stack: line.stacked ? "all" : undefined,
      data: data.at.map((at, index) => [at, line.values[index]]),
      itemStyle: { color: colour, decal },
      lineStyle: { color: colour, decal, width: line.stacked ? 1 : line.behind ? 1.5 : 2, type: line.behind ? [4, 4] : STROKES[line.stroke] },
      areaStyle: line.kind === "area" ? { color: colour, opacity: line.stacked ? 0.75 : 0.18 } : undefined,
      symbol: line.behind ? "emptyCircle" : SYMBOLS[line.stroke],
      symbolSize: line.stroke === "solid" ? 5 : 7,
      showSymbol: single || line.stroke !== "solid",
      connectNulls: false,
      barMaxWidth: 24,
      cursor: "crosshair",
      z: line.behind ? 1 : line.unit === "ratio" ? 4 : 3,
      emphasis: { disabled: true },
      animation: false,
    };
  }

  // A mark is named where there is room; all of them are in the hover and in the list below.
  function labelled(data, narrow) {
    const from = data.at[0], whole = data.at[data.at.length - 1] + data.step - from;
    let room = -Infinity;
    return data.marks.map((mark) => {
      const place = (mark.at - from) / whole;
      const shown = !narrow && place - room > 0.2;
      if (shown) room = place;
      return { ...mark, shown, late: place > 0.85 };
    });
  }

  function optionOf(data, narrow) {
    const text = css("--c-text"), quiet = css("--quiet"), rule = css("--line"), surface = css("--tblr-bg-surface");
    const units = [...new Set(data.series.map((line) => line.unit))];
    const series = data.series.map((line) => seriesOf(data, line, units.indexOf(line.unit)));
    const first = series[0];
    if (first) {
      first.markArea = { silent: true, itemStyle: { color: hatch() }, data: data.gaps.map(([from, to]) => [{ xAxis: from }, { xAxis: to }]) };
      first.markLine = {
        silent: true, symbol: "none", animation: false,
        lineStyle: { color: text, type: [2, 3], opacity: 0.55 },
        data: labelled(data, narrow).map(({ at, label, shown, late }) => ({ name: label, xAxis: at, label: { show: shown, formatter: "{b}", color: quiet, fontSize: 11, rotate: 0, position: "end", align: late ? "right" : "center" } })),
      };
    }
    const last = data.at[data.at.length - 1] + data.step;
    const long = last - data.at[0] > 36 * 3600e3;
    return {
      animation: false,
      aria: { enabled: false },
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: text },
      grid: { left: 8, right: 8, top: data.marks.length ? 28 : 16, bottom: 40, containLabel: true },
      legend: {
        bottom: 4, type: "scroll", itemWidth: 30, itemHeight: 9,
        data: data.series.map((line) => ({ name: line.name, icon: line.kind === "line" ? undefined : "roundRect" })),
        textStyle: { color: quiet }, pageTextStyle: { color: quiet }, pageIconColor: quiet, inactiveColor: rule,
      },
      xAxis: {
        type: "time", min: data.at[0], max: last, splitNumber: narrow ? 3 : 6,
        axisLine: { lineStyle: { color: rule } }, axisTick: { show: false },
        axisLabel: { color: quiet, hideOverlap: true, showMaxLabel: false, formatter: (at) => (long ? day.format(at) : clock.format(at)) },
        splitLine: { show: false },
      },
      yAxis: units.map((unit, index) => ({
        type: data.log ? "log" : "value",
        position: index ? "right" : "left",
        min: unit === "ratio" ? 0 : data.log ? data.bottom : 0,
        max: unit === "ratio" ? data.top ?? undefined : data.log ? data.top : undefined,
        splitNumber: 4,
        interval: unit === "ratio" && data.top === 1 ? 0.25 : undefined,
        minInterval: unit === "calls" ? 1 : undefined,
        axisLabel: { color: quiet, formatter: (value) => TICKS[unit](value) },
        splitLine: { show: index === 0, lineStyle: { color: rule } },
      })),
      tooltip: {
        trigger: "axis", renderMode: "richText", confine: true,
        backgroundColor: surface, borderColor: rule, textStyle: { color: text, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12, lineHeight: 18 },
        axisPointer: { type: "line", lineStyle: { color: quiet } },
        formatter: (points) => {
          const index = points[0]?.dataIndex ?? 0;
          const at = data.at[index];
          const lines = data.series.map((line) => `${line.name}: ${tell(line.unit, line.values[index])}`);
          const near = data.marks.filter((mark) => mark.at >= at && mark.at < at + data.step).map((mark) => mark.label);
          const gap = data.gaps.some(([from]) => from === at) ? ["Records are missing here"] : [];
          return [`${both.format(at)} – ${clock.format(at + data.step)}`, ...lines, ...near, ...gap].join("\n");
        },
      },
      series,
    };
  }

  const joined = (address, from, to, more = {}) => {
    const url = new URL(address, location.href);
    for (const [name, value] of Object.entries(more)) url.searchParams.set(name, value);
    url.searchParams.set("since", new Date(from).toISOString());
    url.searchParams.set("until", new Date(to).toISOString());
    return url.toString();
  };

  // A click goes to the calls behind the point; a drag shows the span that it covers.
  function pointing(element, chart, data) {
    const page = element.closest("[data-calls]");
    if (!page) return;
    const surface = chart.getZr();
    const timeAt = (x) => chart.convertFromPixel({ xAxisIndex: 0 }, x);
    let start = null, band = null;
    const clear = () => { if (band) surface.remove(band); start = band = null; };
    surface.on("mousedown", ({ offsetX: x, offsetY: y }) => { if (chart.containPixel("grid", [x, y])) start = x; });
    surface.on("mousemove", ({ offsetX: x }) => {
      if (start === null || Math.abs(x - start) < 6) return;
      if (!band) {
        band = new echarts.graphic.Rect({ silent: true, z: 99, style: { fill: css("--c-primary"), opacity: 0.16 } });
        surface.add(band);
      }
      band.setShape({ x: Math.min(start, x), y: 0, width: Math.abs(x - start), height: chart.getHeight() });
    });
    surface.on("globalout", clear);
    surface.on("mouseup", ({ offsetX: x }) => {
      if (start === null) return;
      const [from, to] = [timeAt(Math.min(start, x)), timeAt(Math.max(start, x))];
      const dragged = Math.abs(x - start) >= 6;
      clear();
      if (dragged) {
        location.assign(joined(page.dataset.here, Math.max(from, data.at[0]), Math.max(to, from + 60e3)));
        return;
      }
      const index = Math.min(Math.max(Math.floor((from - data.at[0]) / data.step), 0), data.at.length - 1);
      location.assign(joined(page.dataset.calls, data.at[index], data.at[index] + data.step, data.series.length === 1 ? data.series[0].calls : {}));
    });
  }

  function draw(element) {
    erase(element);
    const data = JSON.parse(document.getElementById(element.dataset.chart).textContent);
    const chart = echarts.init(element);
    const narrow = () => element.clientWidth < 520;
    chart.setOption(optionOf(data, narrow()));
    pointing(element, chart, data);
    const observer = new ResizeObserver(() => chart.resize());
    observer.observe(element);
    drawn.set(element, { chart, observer });
  }

  function erase(element) {
    const held = drawn.get(element);
    if (!held) return;
    held.observer.disconnect();
    held.chart.dispose();
    drawn.delete(element);
  }

  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);
  addEventListener("DOMContentLoaded", all);
  addEventListener("themechange", () => { if (drawn.size) all(); });

  // A span that ends now moves on, unless somebody is reading just here.
  let open = [];
  addEventListener("DOMContentLoaded", () => {
    const seconds = Number(document.querySelector("[data-live]")?.dataset.live);
    if (!seconds) return;
    setInterval(() => {
      const page = document.querySelector("[data-live]");
      if (!page || document.hidden || page.querySelector(".chart:hover, :focus-visible")) return;
      htmx.ajax("GET", location.href, { source: page, target: page, select: `#${page.id}`, swap: "outerHTML" });
    }, seconds * 1000);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.target.matches("[data-live]")) return;
    open = [...event.target.querySelectorAll("details[open][id]")].map((details) => details.id);
    [...drawn.keys()].forEach(erase);
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (!document.querySelector("[data-live]")) return;
    open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    all();
  });
})();
