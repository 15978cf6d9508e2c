function render({ model, el: host }) {
  const way = link(model);
  const pane = logPane(root(host, "log", "Log", model.get("note")), way);
  return () => {
    pane.close();
    way.close();
  };
}
export default { render };
