const RUN_STORED_AFTER = 1500; // milliseconds: the kernel's own update of the display comes first, where it can
const RUN_VIEW = "application/vnd.jupyter.widget-view+json";

/**
 * Let the notebook hold how the run ended. The kernel updates the displays of pages that were there when the run was
 * shown; one that was loaded since does not know them, and would save "was running" for ever: there the page itself
 * puts the forms that `way` gives into its notebook (JupyterLab, Notebook 7; elsewhere there is nothing to be reached).
 */
async function runStore(model, way) {
  const notebook = model.widget_manager?.context?.model;
  if (!notebook?.cells) return;
  const { model: id, forms } = await way.call("run_stored");
  const text = (form) => [form ?? ""].flat().join("");
  for (const { outputs } of notebook.cells) {
    for (let at = 0; at < (outputs?.length ?? 0); at++) {
      const stored = outputs.get(at).toJSON();
      if (stored.data?.[RUN_VIEW]?.model_id !== id) continue;
      if (Object.entries(forms).every(([kind, form]) => text(stored.data[kind]) === form)) continue;
      outputs.set(at, { ...stored, data: { ...stored.data, ...forms } });
    }
  }
}
