import { resolve, sep } from 'node:path';
import { type MergePatch, isJson } from '../lib/json.ts';
import { type Reader, type RunnerValues, quoteValue } from './input-reader.ts';
import type { DeployInputs, GuestScript, InputName, NetworkChoice, OverrideTarget } from './inputs.ts';
import { validateOverrides } from './overrides.ts';

export function encoded(reader: Reader, name: InputName, bytes: Buffer, limit: number): string | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes.length > limit) reader.addIssue(name, `has ${bytes.length} bytes; the limit is ${limit}.`);
  return bytes.toString('base64');
}

export function readCustomData(reader: Reader, runner: RunnerValues): string | undefined {
  const { name, bytes } = readTextOrFile(reader, runner, 'custom-data');
  return bytes && encoded(reader, name, bytes, 65_535);
}

/** The bytes of one of two inputs: a text, or the path of a file in the workspace. */
function readTextOrFile(reader: Reader, runner: RunnerValues, textInput: 'custom-data' | 'run-script') {
  const fileInput = `${textInput}-file` as const;
  const text = reader.raw(textInput);
  const file = reader.text(fileInput);
  if (text !== undefined && file !== undefined) {
    reader.addIssue(fileInput, `excludes ${textInput}: give one of the two.`);
  }
  if (file !== undefined) return { name: fileInput, bytes: readWorkspaceFile(reader, runner, fileInput, file) };
  return { name: textInput, bytes: text === undefined ? undefined : Buffer.from(text) };
}

function readWorkspaceFile(reader: Reader, runner: RunnerValues, name: InputName, file: string): Buffer | undefined {
  const workspace = runner.realPath(runner.env['GITHUB_WORKSPACE'] ?? '.');
  const path = workspace && runner.realPath(resolve(workspace, file));
  if (workspace === undefined || path === undefined) {
    reader.addIssue(name, `${quoteValue(file)} does not exist in the workspace: is the repository checked out?`);
    return undefined;
  }
  if (!path.startsWith(workspace.endsWith(sep) ? workspace : workspace + sep)) {
    reader.addInvalid(name, file, 'lies outside the workspace');
    return undefined;
  }
  const bytes = runner.readFile(path);
  if (bytes === undefined) reader.addInvalid(name, file, 'cannot be read');
  return bytes;
}

export function readScript(reader: Reader, runner: RunnerValues): GuestScript | undefined {
  const { name: input, bytes } = readTextOrFile(reader, runner, 'run-script');
  const text = bytes?.toString();
  if (text?.trim() === '') reader.addIssue(input, 'is an empty file.');
  const parameters = reader.textMap('run-script-parameters');
  const secrets = reader.textMap('run-script-secrets');
  const maps = [
    ['run-script-parameters', Object.keys(parameters)],
    ['run-script-secrets', Object.keys(secrets)],
  ] as const;
  if (text === undefined) {
    const filled = maps.flatMap(([name, keys]) => (keys.length > 0 ? [name] : []));
    if (!reader.isGiven('run-script-file')) reader.rejectIfGiven(filled, 'there is no run-script that could take it');
    return undefined;
  }
  for (const [name, keys] of maps) {
    for (const [index, key] of keys.entries()) {
      if (/^[a-z_][a-z0-9_]*$/i.test(key)) continue;
      // Where secrets are meant to be, even a name may be one, put there by mistake.
      const which = name === 'run-script-secrets' ? `the name of entry ${index + 1}` : quoteValue(key);
      const rule = 'letters, digits and _, not starting with a digit';
      reader.addIssue(name, `${which} is not a name that a script can use: ${rule}.`);
    }
  }
  const taken = new Set(Object.keys(parameters).map((key) => key.toLowerCase()));
  for (const [key, value] of Object.entries(secrets)) {
    if (value === '') reader.addMissing('run-script-secrets', `the value of ${quoteValue(key)} is empty.`);
    if (taken.has(key.toLowerCase())) reader.addInvalid('run-script-secrets', key, 'is also in run-script-parameters');
  }
  // Run Command's limit: https://learn.microsoft.com/azure/virtual-machines/linux/run-command
  const timeoutMinutes = reader.minutes('run-script-timeout-minutes', 90);
  return { text, timeoutMinutes, parameters, secrets };
}

const overrideTargets = ['vm', 'nic', 'vnet', 'nsg', 'public-ip'] as const satisfies readonly OverrideTarget[];

export function readOverrides(reader: Reader, network: NetworkChoice | undefined): DeployInputs['overrides'] {
  const patches: Partial<Record<OverrideTarget, MergePatch>> = {};
  const notMade = network === undefined ? [] : targetsNotMade(network);
  const nicId = network?.kind === 'given-nic' ? network.nicId : undefined;
  for (const [key, patch] of Object.entries(reader.map('overrides'))) {
    const target = overrideTargets.find((one) => one === key);
    const refuse = (message: string) => reader.addIssue('overrides', `${key}: ${message}`);
    if (target === undefined) reader.addInvalid('overrides', key, `is none of: ${overrideTargets.join(', ')}`);
    else if (!isJson(patch)) refuse('is not an object in the REST shape, e.g. {"properties": {…}}.');
    else if (notMade.includes(target)) {
      refuse('the action makes none with these inputs, and never changes what exists already.');
    } else {
      for (const message of validateOverrides(target, patch, nicId)) refuse(message);
      patches[target] = patch;
    }
  }
  return patches;
}

function targetsNotMade(network: NetworkChoice): readonly OverrideTarget[] {
  if (network.kind === 'given-nic') return ['nic', 'vnet', 'nsg', 'public-ip'];
  return [
    ...(network.subnet.kind === 'given' ? (['vnet'] as const) : []),
    ...(network.nsg.kind === 'given' ? (['nsg'] as const) : []),
    ...(network.publicIp.kind === 'new' ? [] : (['public-ip'] as const)),
  ];
}
