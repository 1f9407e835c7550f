/** Compares a recording with the simulator: `npm run record:compare -- recording.json`. Exit code 1: they differ. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { compareRecordings } from './compare-recordings.ts';
import type { Recording } from './recording.ts';
import { recordSimulator } from './scenario.ts';

const usage = `npm run record:compare -- RECORDING [SIMULATED]
  RECORDING        file that \`npm run record\` wrote
  SIMULATED        recording of the simulator; default: a new one
  --image NAME     image of the simulator's gallery that the new one uses (default: linux)`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { image: { type: 'string', default: 'linux' }, help: { type: 'boolean', default: false } },
});
const [recordingFile, simulatedFile] = positionals;

if (options.help) console.log(usage);
else if (recordingFile === undefined) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const readRecording = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Recording;
  const recorded = readRecording(recordingFile);
  const simulated =
    simulatedFile === undefined
      ? (await recordSimulator({ image: options.image })).recording
      : readRecording(simulatedFile);
  const { differences, unmatched } = compareRecordings(recorded, simulated);
  for (const line of differences) console.log(line);
  if (unmatched.length > 0) console.log(`\nNot compared:\n${unmatched.join('\n')}`);
  console.log(`\n${differences.length} ${differences.length === 1 ? 'difference' : 'differences'}`);
  process.exitCode = differences.length > 0 ? 1 : 0;
}
