import { type Simulator, startSimulator } from '../simulator/index.ts';
import type { Run } from '../scripts/action-runner/action-runner.ts';

/** Requests per stage of the log, in which each request is a debug line. Those of an operation's status are polls. */
export async function countRequests(run: (sim: Simulator) => Promise<Run>) {
  const sim = await startSimulator({ timeScale: 0.05 });
  const runs = { create: await run(sim), rerun: await run(sim) };
  const rows = Object.entries(runs).flatMap(([title, { lines }]) => {
    const stages = new Map<string, { requests: number; polls: number }>();
    let stage = '';
    for (const { command, text } of lines) {
      if (command === 'group') stage = text;
      // The host keys are read after the last stage.
      if (command === 'endgroup') stage = 'Host keys';
      if (command !== 'debug' || !/^[A-Z]+ [\w.:-]+\/\S* \d{3} \d+ ms/.test(text)) continue;
      const counts = stages.get(stage) ?? { requests: 0, polls: 0 };
      counts[/\/(?:disk)?operation\w*\//i.test(text) ? 'polls' : 'requests']++;
      stages.set(stage, counts);
    }
    // Never logged: the URL grants access to the boot log.
    const bootLog = stages.get('Host keys');
    if (bootLog) bootLog.requests++;
    const all = [...stages.values()];
    const sum = (key: 'requests' | 'polls') => all.reduce((total, counts) => total + counts[key], 0);
    return [...stages, ['all stages', { requests: sum('requests'), polls: sum('polls') }] as const].map(
      ([stage, counts]) => ({ run: title, stage, ...counts }),
    );
  });
  const counted = rows
    .filter(({ stage }) => stage === 'all stages')
    .reduce((sum, row) => sum + row.requests + row.polls, 0);
  const sent = sim.journal.length;
  await sim.close();
  if (counted !== sent) throw new Error(`The log shows ${counted} requests, the simulator received ${sent}.`);
  return rows;
}
