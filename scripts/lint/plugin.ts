interface Node {
  readonly value?: unknown;
}

interface Context {
  report(problem: { node: Node; message: string }): void;
}

const apiVersion = /^20\d\d-\d\d-\d\d(-(preview|alpha|beta))?$|[?&]api-version=20\d\d/;

/** oxlint plugin with the one rule that oxlint does not have: Azure API versions are named in one table. */
export default {
  meta: { name: 'project' },
  rules: {
    'no-api-version': {
      create(context: Context) {
        const check = (node: Node, text: unknown) => {
          if (typeof text === 'string' && apiVersion.test(text))
            context.report({ node, message: `API versions belong in src/azure/api-versions.ts: ${text}` });
        };
        return {
          Literal: (node: Node) => check(node, node.value),
          TemplateElement: (node: Node) => check(node, (node.value as { raw: string }).raw),
        };
      },
    },
  },
};
