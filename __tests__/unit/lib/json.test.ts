/** RFC 7396: every case of its appendix A, and what JSON can say beyond it; the shape of the SDK's models. */
import { expect, test } from '@jest/globals';
import { flattenProperties, mergePatch } from '../../../src/lib/json.ts';

// https://www.rfc-editor.org/rfc/rfc7396#appendix-A
test.each([
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', '{}'],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', 'null', 'null'],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
  ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
])('%s patched with %s is %s', (target, patch, result) => {
  expect(mergePatch(JSON.parse(target), JSON.parse(patch))).toEqual(JSON.parse(result));
});

// Resource Manager reads keys in any case, so two spellings of one key would be sent twice.
test.each([
  ['{"hardwareProfile":{"vmSize":"A"}}', '{"HardwareProfile":{"VMSize":"B"}}', '{"hardwareProfile":{"vmSize":"B"}}'],
  ['{"diagnosticsProfile":{"a":1}}', '{"DiagnosticsProfile":null}', '{}'],
  ['{}', '{"Priority":"Spot","priority":"Low"}', '{"Priority":"Low"}'],
  ['{"zones":["1"]}', '{"Zones":["2"]}', '{"zones":["2"]}'],
])('%s patched with %s in another case is %s', (target, patch, result) => {
  expect(JSON.stringify(mergePatch(JSON.parse(target), JSON.parse(patch)))).toBe(result);
});

test('neither target nor patch is changed', () => {
  const target = { a: { b: 1 }, list: [{ c: 2 }] };
  const patch = { a: { b: null, d: 3 }, list: null };
  const before = structuredClone([target, patch]);
  mergePatch(target, patch);
  expect([target, patch]).toEqual(before);
});

test('a key that means something to JavaScript is a key like others', () => {
  const patched = mergePatch({}, JSON.parse('{"__proto__": {"polluted": true}}'));
  expect(JSON.stringify(patched)).toBe('{"__proto__":{"polluted":true}}');
  expect({}).not.toHaveProperty('polluted');
});

test('flattens `properties` at every depth, as the models of the SDK do', () => {
  const subnet = { name: 'default', properties: { addressPrefix: '10.0.0.0/24', delegations: [] } };
  expect(flattenProperties({ id: '/v', properties: { provisioningState: 'Updating', subnets: [subnet] } })).toEqual({
    id: '/v',
    provisioningState: 'Updating',
    subnets: [{ name: 'default', addressPrefix: '10.0.0.0/24', delegations: [] }],
  });
  expect([undefined, null, 'text', { properties: null }].map(flattenProperties)).toEqual([undefined, null, 'text', {}]);
});
