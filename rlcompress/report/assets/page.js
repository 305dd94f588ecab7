"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const root = document.documentElement;
  const PRINT_WIDTH = 690; // CSS pixels of A4 between its margins
  const NARROW = 600;

  function stored() {
    try { return localStorage.getItem("rlcompress-theme"); } catch { return null; } // files may have no storage
  }
  function keep(theme) {
    try { localStorage.setItem("rlcompress-theme", theme); } catch { /* the choice lasts as long as the page */ }
  }
  function setTheme(theme) {
    root.dataset.theme = theme;
    for (const id of Object.keys(charts)) restyle(document.getElementById(id));
  }

  function colours() {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(name).trim();
    return { text: of("--text"), line: of("--line"), panel: of("--panel") };
  }
  function themed(layout) {
    const { text, line, panel } = colours();
    const narrow = window.innerWidth < NARROW;
    const axis = (own) => ({ automargin: true, gridcolor: line, zerolinecolor: line, linecolor: line, ...own });
    return {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: narrow ? 11 : 12.5, color: text },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: text },
      xaxis: axis(layout.xaxis),
      yaxis: axis(layout.yaxis),
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: text }, ...layout.legend },
      hoverlabel: { bgcolor: panel, bordercolor: line, font: { color: text, size: 12 }, align: "left" },
      margin: { l: 12, r: 12, t: 30, b: 12 },
    };
  }
  function restyle(element, width) {
    if (!element || !element.data) return;
    const { text, line, panel } = colours();
    const change = { "font.color": text, "legend.font.color": text, "hoverlabel.bgcolor": panel, "hoverlabel.bordercolor": line, "hoverlabel.font.color": text, "modebar.color": line, "modebar.activecolor": text };
    for (const axis of ["xaxis", "yaxis"]) for (const key of ["gridcolor", "zerolinecolor", "linecolor"]) change[`${axis}.${key}`] = line;
    change.width = width || null;
    change.autosize = !width;
    return Plotly.relayout(element, change);
  }
  function draw() {
    const options = { responsive: true, displaylogo: false, displayModeBar: window.innerWidth < NARROW ? false : "hover", modeBarButtonsToRemove: ["select2d", "lasso2d"] };
    return Promise.all(Object.entries(charts).map(([id, figure]) =>
      Plotly.newPlot(document.getElementById(id), figure.data, themed(figure.layout), options)));
  }

  function switchView(button) {
    const { chart, view } = button.dataset;
    const { values, title } = charts[chart].views[view];
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
    return Plotly.update(document.getElementById(chart), { y: values }, { "yaxis.title.text": title, "yaxis.autorange": true });
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }
  async function start() {
    const packed = document.getElementById("plotly");
    if (!packed) return;
    const script = document.createElement("script");
    script.textContent = await unpack(packed.textContent);
    packed.remove();
    document.head.append(script);
    await draw();
    for (const button of document.querySelectorAll("button[data-view]")) button.addEventListener("click", () => switchView(button));
  }
  function failed(error) {
    for (const id of Object.keys(charts)) document.getElementById(id).textContent = `This chart needs a browser of 2023 or later (${error}).`;
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  root.dataset.theme = stored() || (dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => { if (!stored()) setTheme(dark.matches ? "dark" : "light"); });
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    keep(root.dataset.theme);
  });
  let shown = null;
  addEventListener("beforeprint", () => {
    shown = root.dataset.theme;
    root.dataset.theme = "light";
    for (const id of Object.keys(charts)) restyle(document.getElementById(id), PRINT_WIDTH);
  });
  addEventListener("afterprint", () => setTheme(shown || "light"));
  start().catch(failed).finally(() => { root.dataset.ready = "true"; });
})();
