interface Node {
  readonly type?: string;
  readonly name?: string;
  readonly value?: unknown;
  readonly operator?: string;
  readonly left?: Node;
  readonly callee?: Node;
  readonly object?: Node;
  readonly property?: Node;
  readonly arguments?: readonly Node[];
  readonly parent?: Node | null;
}

interface Context {
  report(problem: { node: Node; message: string }): void;
}

const apiVersion = /^20\d\d-\d\d-\d\d(-(preview|alpha|beta))?$|[?&]api-version=20\d\d/;

const noApiVersion = (context: Context) => {
  const check = (node: Node, text: unknown) => {
    if (typeof text === 'string' && apiVersion.test(text))
      context.report({ node, message: `API versions belong in src/azure/api-versions.ts: ${text}` });
  };
  return {
    Literal: (node: Node) => check(node, node.value),
    TemplateElement: (node: Node) => check(node, (node.value as { raw: string }).raw),
  };
};

function isInAssertion(node: Node | null | undefined): boolean {
  if (!node) return false;
  return (node.type === 'CallExpression' && node.callee?.name === 'expect') || isInAssertion(node.parent);
}

/** What a run of the action measured of itself. */
const durations = new Set(['wallMs', 'cpuMs', 'startedAt']);

const isClockRead = (node: Node | undefined): boolean =>
  ['Date', 'performance'].includes(node?.object?.name ?? '') && node?.property?.name === 'now';

const noClockInAssertion = (context: Context) => {
  const message = 'Assert the order of events, not the time that they take.';
  const check = (node: Node, readsClock: boolean) => {
    if (readsClock && isInAssertion(node)) context.report({ node, message });
  };
  return {
    MemberExpression: (node: Node) => check(node, isClockRead(node) || durations.has(node.property?.name ?? '')),
    NewExpression: (node: Node) => check(node, node.callee?.name === 'Date' && node.arguments?.length === 0),
    BinaryExpression: (node: Node) => {
      if (node.operator === '-' && isClockRead(node.left?.callee)) context.report({ node, message });
    },
  };
};

/** Rules that oxlint does not have. */
export default {
  meta: { name: 'project' },
  rules: {
    'no-api-version': { create: noApiVersion },
    'no-clock-in-assertion': { create: noClockInAssertion },
  },
};
