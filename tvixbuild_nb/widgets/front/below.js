/** One tree: a line that opens it, and its view once it was opened. */
function belowEntry(kernel, manager, name, number) {
  const place = el("div");
  const node = el("details", {}, el("summary", {}, "both trees side by side: ", el("code", {}, name)), place);
  let view = null;
  let asked = false;
  let gone = false;
  node.addEventListener("toggle", async () => {
    if (!node.open || asked) return;
    asked = true;
    place.replaceChildren("…");
    try {
      const model = await manager.get_model(await kernel.call("open_tree", { number }));
      const made = await manager.create_view(model, {});
      if (gone) return made.remove();
      view = made;
      place.replaceChildren(view.el);
    } catch (error) {
      asked = false; // opened again, it is asked for again
      place.replaceChildren(problem(error));
    }
  });
  const close = () => {
    gone = true;
    view?.remove();
  };
  return { node, close };
}

function render({ model, el: host }) {
  const kernel = link(model);
  const top = root(host, "below", "Trees that can be opened");
  const entries = model.get("names").map((name, number) => belowEntry(kernel, model.widget_manager, name, number));
  top.append(...entries.map((entry) => entry.node));
  return () => {
    for (const entry of entries) entry.close();
    kernel.close();
  };
}
export default { render };
