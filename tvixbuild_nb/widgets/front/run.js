function render({ model, el: host }) {
  const way = link(model);
  let data = model.get("first");
  let since = performance.now();
  let closed = false;
  const top = root(host, "run", `Run ${data.run}`);
  const status = el("strong", { class: "run-status", role: "status" });
  const clock = el("span", { class: "run-clock mono", role: "timer", "aria-label": "elapsed" });
  const cancel = el("button", { class: "run-cancel", onclick: stop }, "Cancel");
  const why = el("span", { class: "run-why dim" });
  const complaint = el("div");
  const stages = el("ol", { class: "run-stages", "aria-label": "stages" });
  const end = el("div", { class: "run-verdict" });
  top.append(
    el("div", { class: "bar" }, status, clock, cancel, why, el("span", { class: "dim mono run-id" }, data.run)),
    el("div", { class: "run-command mono dim" }, data.command),
    stages,
    complaint,
    end,
  );
  const log = el("div", { class: "run-log" });
  top.append(log);
  const pane = logPane(log, way, { height: 260, label: `log of run ${data.run}` });

  function show(next) {
    data = next;
    since = performance.now();
    status.textContent = data.end ? data.end.headline : data.cancel.why === "being cancelled" ? "cancelling" : "running";
    status.className = `run-status ${RUN_TONES[data.status] ?? ""}`;
    cancel.hidden = !data.running || !data.cancel.can;
    why.textContent = data.cancel.why ?? "";
    stages.replaceChildren(...runStages(data.stages));
    end.replaceChildren(...(data.end ? [runEnd(data.end), ...(data.end.outputs.length ? [runOutputs(data.end.outputs)] : [])] : []));
    tick();
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
  async function stop() {
    cancel.disabled = true;
    try {
      show(await way.call("run_cancel"));
    } catch (error) {
      complaint.replaceChildren(problem(error));
    }
    cancel.disabled = false;
  }

  way.on("run", show);
  show(data);
  // What was told before this view was there is lost to it: it asks.
  way.call("run_state").then(
    (now) => closed || show(now),
    (error) => complaint.replaceChildren(problem(error)),
  );
  const timer = setInterval(() => data.running && tick(), 100);
  return () => {
    closed = true;
    clearInterval(timer);
    pane.close();
    way.close();
  };
}
export default { render };
