const RUN_UNHEARD = 1500; // milliseconds without an answer after which Cancel says what can be done instead

function runPage(model, host) {
  const way = link(model);
  let data = model.get("state");
  let since = performance.now();
  let storing = 0;
  let closed = false;
  const top = root(host, "run", `Run ${data.run}`);
  const status = el("strong", { class: "run-status", role: "status" });
  const clock = el("span", { class: "run-clock mono", role: "timer", "aria-label": "elapsed" });
  const cancel = el("button", { class: "run-cancel", onclick: stop }, "Cancel");
  const why = el("span", { class: "run-why dim" });
  const recorded = el("div", { class: "note dim" });
  const complaint = el("div");
  const stages = el("ol", { class: "run-stages", "aria-label": "stages" });
  const use = el("div", { class: "run-use", role: "group", "aria-label": "resource use" });
  const end = el("div", { class: "run-verdict" });
  const log = el("div", { class: "run-log" });
  top.append(
    el("div", { class: "bar" }, status, clock, cancel, why, el("span", { class: "dim mono run-id" }, data.run)),
    recorded,
    el("div", { class: "run-command mono dim", title: data.command }, data.command),
    stages,
    use,
    complaint,
    end,
    log,
  );
  const pane = logPane(log, way, { height: 260, label: `log of run ${data.run}` });

  function show(next) {
    // Answers and pushes come on different ways: what was over is over.
    if (closed || (data.end && !next.end)) return;
    data = next;
    since = performance.now();
    const cancelling = data.running && !data.cancel.can && data.cancel.why?.startsWith("being cancelled");
    status.textContent = data.end ? data.end.headline : cancelling ? "cancelling" : "running";
    status.className = `run-status ${RUN_TONES[data.status] ?? ""}`;
    cancel.hidden = !data.running || !data.cancel.can;
    why.textContent = data.cancel.why ?? "";
    recorded.textContent = data.end?.recorded ?? "";
    stages.replaceChildren(...runStages(data.stages));
    use.hidden = !data.use;
    use.replaceChildren(...(data.use ? runUse(data.use) : []));
    end.replaceChildren(...(data.end ? [runEnd(data.end), ...(data.end.outputs.length ? [runOutputs(data.end.outputs, data.end.outputs_are)] : []), ...runFindings(data.findings)] : []));
    tick();
    if (data.end && !storing) storing = setTimeout(() => runStore(model, way).catch(complain), RUN_STORED_AFTER);
  }
  function tick() {
    const passed = data.running ? (performance.now() - since) / 1000 : 0;
    clock.textContent = data.running ? runSeconds(data.elapsed + passed) : "";
    for (const stage of data.stages) {
      if (stage.state !== "active") continue;
      const took = stages.querySelector(`[data-stage="${stage.name}"]`);
      if (took) took.textContent = runSeconds((stage.seconds ?? 0) + passed);
    }
  }
  function complain(error) {
    complaint.replaceChildren(problem(error));
  }
  async function stop() {
    cancel.disabled = true;
    const unheard = setTimeout(() => {
      why.textContent = "the kernel hears this when its cell is done; the notebook's stop button ends the run now";
    }, RUN_UNHEARD);
    try {
      show(await way.call("run_cancel"));
    } catch (error) {
      complain(error);
    }
    clearTimeout(unheard);
    cancel.disabled = false;
  }

  const changed = () => show(model.get("state"));
  model.on("change:state", changed);
  show(data);
  // The state may be older than this page: its clock is set by asking.
  way.call("run_state").then(show, complain);
  const timer = setInterval(() => data.running && tick(), 100);
  return {
    node: top,
    close() {
      closed = true;
      clearInterval(timer);
      clearTimeout(storing);
      model.off("change:state", changed);
      pane.close();
      way.close();
    },
  };
}

function render({ model, el: host }) {
  return steady(model.get("state").run, host, (place) => runPage(model, place));
}
export default { render };
