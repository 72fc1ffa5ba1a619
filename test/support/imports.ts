/** Every module that a source names: static, type-only, side effect, re-export, dynamic, and `import('…')` as a type. */
export const importsOf = (source: string): readonly string[] => {
  const code = withoutComments(source);
  return [...code.matchAll(statement), ...code.matchAll(call)].map(([, specifier]) => specifier ?? computed);
};

/** Stands for a module whose name is not in the source, so that no table can speak about it. */
export const computed = '(computed)';

export const withoutComments = (source: string): string =>
  source.replaceAll(stringOrComment, (_, kept: string | undefined) => kept ?? ' ');

const stringOrComment = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const statement = /(?:^|[;}])\s*(?:import\s*|(?:import|export)\b[^'"`;]*?\bfrom\s*)['"]([^'"]+)['"]/gm;
const call = /\b(?:import|require)\s*\(\s*(?:['"`]([^'"`$]+)['"`]\s*[,)])?/g;
