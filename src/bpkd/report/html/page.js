"use strict";
// Everything that a page shows is in its HTML; this adds sorting, tabs, the slider and the theme.
(() => {
  const make = (name, attributes = {}, text = "") => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  let count = 0;

  // -- light and dark
  const root = document.documentElement, theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const named = () => { theme.textContent = isDark() ? "light" : "dark"; };
  theme.setAttribute("title", "change between light and dark");
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; named(); });
  system.addEventListener("change", named);
  named();

  // -- tables that sort
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.trim() : Number(value);
  };
  const order = (a, b, sign) => {
    const numbers = [typeof a === "number", typeof b === "number"];
    if (numbers[0] && numbers[1]) return sign * (a - b);
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1; // what has no number comes last
    return sign * a.localeCompare(b, undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    const rows = [...body.rows];
    heads.forEach((head, column) => {
      if (head.dataset.sort === "no") return;
      const button = make("button", { type: "button" }, head.textContent.trim());
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const numeric = rows.some((row) => typeof keyOf(row, column) === "number");
        const up = before ? before === "descending" : !(numeric && column > 0);
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const sorted = [...rows].sort((a, b) => order(keyOf(a, column), keyOf(b, column), up ? 1 : -1));
        body.replaceChildren(...sorted);
        table.classList.add("sorted");
      });
    });
  }

  // -- tabs
  for (const box of document.querySelectorAll(".tabs")) {
    const panels = [...box.children];
    if (panels.length < 2) continue;
    const list = make("div", { role: "tablist", "aria-label": box.dataset.label });
    const tabs = panels.map((panel) => {
      panel.id = `panel${++count}`;
      panel.setAttribute("role", "tabpanel");
      const tab = make("button", { type: "button", role: "tab", id: `tab${count}`, "aria-controls": panel.id }, panel.dataset.tab);
      panel.setAttribute("aria-labelledby", tab.id);
      panel.querySelector("h3").hidden = true;
      list.append(tab);
      return tab;
    });
    const choose = (chosen, focus) => {
      tabs.forEach((tab, index) => {
        tab.setAttribute("aria-selected", index === chosen);
        tab.tabIndex = index === chosen ? 0 : -1;
        panels[index].hidden = index !== chosen;
      });
      if (focus) tabs[chosen].focus();
    };
    tabs.forEach((tab, index) => tab.addEventListener("click", () => choose(index)));
    list.addEventListener("keydown", (event) => {
      const at = tabs.indexOf(document.activeElement), last = tabs.length - 1;
      const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      choose(to, true);
    });
    box.prepend(list);
    choose(0);
  }

  // -- one image: before and after, zoom
  const build = (scene) => {
    const pictures = [...scene.querySelectorAll(".strip img")];
    const names = pictures.map((picture) => picture.alt);
    const [x0, y0, part] = scene.dataset.part.split(" ").map(Number);
    const stage = make("div", { class: "stage", tabindex: "0", role: "group", "aria-label": "the image enlarged: plus and minus zoom, arrows move" });
    const photo = make("img", { class: "photo", src: pictures[0].src, alt: "" });
    const sides = ["before", "after"].map((side) => {
      const select = make("select", { "aria-label": side });
      names.forEach((name, index) => select.append(make("option", { value: index }, index ? name : "the image alone")));
      select.value = scene.dataset[side]; // 0 is the photo
      const holder = make("div", { class: `side ${side}` }), layer = make("img", { class: "map", alt: "" });
      holder.append(layer);
      return { select, holder, layer };
    });
    const range = (label, value, max = 100) => make("input", { type: "range", min: 0, max, value, step: 1, "aria-label": label });
    const slider = range("boundary between before and after", 50), opacity = range("strength of the colours", 60);
    slider.classList.add("slider");
    const line = make("div", { class: "line-between" });
    const state = { zoom: 1, x: 0.5, y: 0.5 };
    const draw = () => {
      const half = 0.5 / state.zoom;
      state.x = clamp(state.x, half, 1 - half);
      state.y = clamp(state.y, half, 1 - half);
      const share = Number(slider.value);
      const move = `translate(${-100 * (state.x - half) * state.zoom}%, ${-100 * (state.y - half) * state.zoom}%) scale(${state.zoom})`;
      for (const image of [photo, sides[0].layer, sides[1].layer]) image.style.transform = move;
      sides[0].holder.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
      sides[1].holder.style.clipPath = `inset(0 0 0 ${share}%)`;
      line.style.left = `${share}%`;
      stage.classList.toggle("zoomed", state.zoom > 1);
      for (const { layer } of sides) layer.style.opacity = opacity.value / 100;
    };
    const fill = () => {
      for (const { select, layer } of sides) {
        const chosen = Number(select.value);
        layer.hidden = chosen === 0;
        layer.src = pictures[chosen].src;
      }
    };
    const zoomTo = (zoom, x = state.x, y = state.y) => { Object.assign(state, { zoom: clamp(zoom, 1, 16), x, y }); draw(); };
    const steps = { "−": () => zoomTo(state.zoom / 1.5), "+": () => zoomTo(state.zoom * 1.5), outline: () => zoomTo(1 / part, x0, y0), whole: () => zoomTo(1) };
    const labels = { "−": "zoom out", "+": "zoom in", outline: "the part where the students differ most along outlines", whole: "the whole image" };
    const buttons = make("span", { class: "buttons" });
    for (const [text, action] of Object.entries(steps)) {
      const button = make("button", { type: "button", title: labels[text], "aria-label": labels[text] }, text);
      button.addEventListener("click", action);
      buttons.append(button);
    }
    stage.addEventListener("keydown", (event) => {
      const step = 0.1 / state.zoom;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key in moves && state.zoom > 1) zoomTo(state.zoom, state.x + moves[event.key][0], state.y + moves[event.key][1]);
      else if (event.key === "+" || event.key === "=") steps["+"]();
      else if (event.key === "-") steps["−"]();
      else return;
      event.preventDefault();
    });
    // A drag moves the boundary on the whole image, and the image itself where it is enlarged.
    let held = null;
    const slide = (event) => {
      const box = stage.getBoundingClientRect();
      slider.value = clamp(100 * (event.clientX - box.left) / box.width, 0, 100);
      draw();
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = { x: event.clientX, y: event.clientY };
      stage.setPointerCapture(event.pointerId);
      if (state.zoom === 1) slide(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!held) return;
      if (state.zoom === 1) { slide(event); return; }
      const box = stage.getBoundingClientRect();
      zoomTo(state.zoom, state.x - (event.clientX - held.x) / box.width / state.zoom, state.y - (event.clientY - held.y) / box.height / state.zoom);
      held = { x: event.clientX, y: event.clientY };
    });
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { held = null; });
    slider.addEventListener("input", draw);
    opacity.addEventListener("input", draw);
    for (const { select } of sides) select.addEventListener("change", fill);
    // A picture of the strip is a button: it is then seen on the right.
    pictures.forEach((picture, index) => {
      const button = make("button", { type: "button", class: "pick", title: `show on the right: ${index ? names[index] : "the image alone"}` });
      picture.replaceWith(button);
      button.append(picture);
      button.addEventListener("click", () => { sides[1].select.value = index; fill(); });
    });
    stage.append(photo, sides[0].holder, sides[1].holder, line);
    const choice = make("div", { class: "choice" });
    choice.append(sides[0].select, slider, sides[1].select);
    const strength = make("label", { class: "strength" }, "colours ");
    strength.append(opacity);
    const tools = make("div", { class: "tools" });
    tools.append(buttons, strength);
    const view = make("div", { class: "view" });
    view.append(stage, choice, tools);
    scene.querySelector(".strip").before(view);
    fill();
    draw();
  };
  document.querySelectorAll(".scene").forEach(build);
})();
