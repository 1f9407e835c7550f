/** The command `npm run simulator`, as a user runs it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import https from 'node:https';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from '@jest/globals';

const root = resolve(import.meta.dirname, '../..');

function runCli(...options: string[]) {
  return spawn(process.execPath, ['simulator/cli.ts', ...options], { cwd: root });
}

async function finished(...options: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = runCli(...options);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = await once(child, 'close');
  return { code: Number(code), stdout, stderr };
}

function get(url: string, certificateFile: string): Promise<{ status: number; body: string }> {
  return new Promise((done, failed) => {
    https
      .get(url, { ca: readFileSync(certificateFile), agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        response.on('end', () => done({ status: response.statusCode ?? 0, body }));
      })
      .on('error', failed);
  });
}

test('npm run simulator starts this command', () => {
  const { scripts } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8'));
  expect(scripts.simulator).toBe('node simulator/cli.ts');
});

test('prints where it listens, serves requests, and stops at SIGINT', async () => {
  const child = runCli('--fail', 'quota-exceeded', '--fail', 'no-consent', '--journal');
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  try {
    while (!lines.includes('Press Ctrl-C to stop.')) await once(reader, 'line');
    const value = (name: string) =>
      lines
        .find((line) => line.startsWith(name))
        ?.split(/\s+|=/)
        .at(-1) ?? '';
    const certificateFile = value('Certificate');
    const endpoint = value('Resource Manager');
    expect(lines).toContain(`  environment: ${endpoint}`);
    expect(lines.filter((line) => line.startsWith('Failure'))).toEqual([
      expect.stringContaining('quota-exceeded: '),
      expect.stringContaining('no-consent: '),
    ]);
    const answer = await get(`${endpoint}/metadata/endpoints?api-version=2022-09-01`, certificateFile);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body).authentication.loginEndpoint).toBe(value('Entra'));
    const closed = once(child, 'close');
    child.kill('SIGINT');
    expect(await closed).toEqual([0, null]);
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ path: '/metadata/endpoints', status: 200 });
    expect(existsSync(certificateFile)).toBe(false);
  } finally {
    child.kill('SIGKILL');
  }
});

test('--fail list prints every failure with its description', async () => {
  const { code, stdout } = await finished('--fail', 'list');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^quota-exceeded +The regional vCPU quota is 0/m);
  expect(stdout).toMatch(/^connection-reset +The VM is created/m);
});

test('--help prints the options', async () => {
  const { code, stdout } = await finished('--help');
  expect(code).toBe(0);
  expect(stdout).toMatch(/--fail NAME/);
});

test.each([
  [['--fail', 'nothing-of-that-name'], /unknown failure 'nothing-of-that-name'; --fail list lists the names/],
  [['--latency', 'slow'], /--latency must be one of p25, median, p90, drawn/],
  [['--time-scale', '0'], /--time-scale must be a number of at least/],
  [['--port', 'x'], /--port must be a number/],
  [['--unknown'], /Unknown option '--unknown'/],
])('rejects %j with exit code 2 before anything starts', async (options, message) => {
  const { code, stdout, stderr } = await finished(...options);
  expect(stderr).toMatch(message);
  expect([code, stdout]).toEqual([2, '']);
});
