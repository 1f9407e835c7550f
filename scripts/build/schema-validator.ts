import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import standalone from 'ajv/dist/standalone/index.js';
import { build } from 'esbuild';

const root = resolve(import.meta.dirname, '../..');

/** Generated: the fleet workflow runs without packages, so Ajv compiles the schema at build time. */
export const validatorFile = join(root, 'fleet/validate-schema.mjs');

/** Compiles fleet/tenants.schema.json to a module that exports `validate`. Only Ajv's code is inside. */
export async function schemaValidator(): Promise<string> {
  const schema = JSON.parse(readFileSync(join(root, 'fleet/tenants.schema.json'), 'utf8')) as object;
  const ajv = new Ajv2020({
    allErrors: true,
    allowUnionTypes: true,
    verbose: true,
    schemas: { tenants: schema },
    code: { source: true, esm: true },
  });
  const licence = readFileSync(join(root, 'node_modules/ajv/LICENSE'), 'utf8').trim();
  const result = await build({
    stdin: { contents: standalone.default(ajv, { validate: 'tenants' }), resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    banner: {
      js: `// Generated from tenants.schema.json by \`npm run build\`. Do not edit.\n/*\nContains code of Ajv:\n\n${licence}\n*/`,
    },
  });
  return result.outputFiles[0]?.text ?? '';
}
