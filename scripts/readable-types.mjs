// What pbts declares of the messages, as people who call are to see it in their editors.

const STEPS = [
  // Numbers are numbers here (--force-number).
  { name: "an import that nothing uses", apply: (text) => text.replace(/^import Long = .*\n/m, "") },
  {
    name: "deprecated names",
    apply: (text) =>
      text.replace(
        / *\/\*\*\n[ *]*Properties of \w+ \w+\.\n[ *]*@deprecated .*\n.*\n *interface I\w+ extends .*\n *\}\n\n/g,
        "",
      ),
  },
  { name: "messages inside messages, whole as the outer ones when decoded", apply: wholeInside },
  { name: "shapes that add nothing: others tell which field of a oneof is there", apply: withoutPlainShapes },
];

/** @throws Error when a step finds nothing to do: then pbts writes otherwise than it did. */
export function readableTypes(declarations) {
  return STEPS.reduce((before, { name, apply }) => {
    const after = apply(before);
    if (after === before) throw new Error(`the declarations have changed: not found in them: ${name}`);
    return after;
  }, declarations);
}

function wholeInside(text) {
  return text.replace(/^( *)class \w+ \{.*?^\1\}/gms, (body) =>
    body.replace(/^( +\w+\??: .*)\.\$Properties\b/gm, "$1"),
  );
}

function withoutPlainShapes(text) {
  const plain = new Set(
    Array.from(text.matchAll(/type \$Shape = ([\w.]+)\.\$Properties;/g), ([, name]) => name),
  );
  return text.replace(/(static decode\(.*\): )([\w.]+) & \2\.\$Shape;/g, (whole, head, name) =>
    plain.has(name) ? `${head}${name};` : whole,
  );
}
