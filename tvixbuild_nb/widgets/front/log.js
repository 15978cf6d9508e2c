function render({ model, el: host }) {
  const way = link(model);
  const pane = logPane(root(host, "log", "Log"), way);
  return () => {
    pane.close();
    way.close();
  };
}
export default { render };
