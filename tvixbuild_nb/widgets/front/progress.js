function render({ model, el: host }) {
  const node = root(host, "progress", `progress of ${model.get("line").title}`);
  const bar = el("span", { class: "progress-bar", role: "progressbar", "aria-label": model.get("line").title }, el("span", {}));
  const words = el("span", { class: "mono" });
  const show = () => {
    const line = model.get("line");
    words.textContent = `${line.title}: ${line.files}, ${line.size} in ${line.time} (${line.rate})`;
    bar.setAttribute("aria-valuetext", words.textContent);
    if (!line.ended) return;
    bar.remove();
    if (line.ended !== "done") words.textContent += `, ${line.ended}`;
  };
  node.append(el("div", { class: "bar" }, bar, words));
  model.on("change:line", show);
  show();
  return () => model.off("change:line", show);
}
export default { render };
