// How the name of a node is followed into expressions.

// Fields whose text is one expression, without ${{ }}.
const bare = new Set(["when", "switch", "until", "over"]);

const quoted = /(?:[rR]|[bB])*("""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')/y;

// renamed is an expression in which a node has another name. What is in quotes
// is left alone.
export function renamed(source: string, names: ReadonlyMap<string, string>): string {
  let out = "";
  for (let i = 0; i < source.length; ) {
    quoted.lastIndex = i;
    const literal = quoted.exec(source);
    if (literal) {
      out += literal[0];
      i += literal[0].length;
      continue;
    }
    const word = /^[A-Za-z_][A-Za-z0-9_]*/.exec(source.slice(i))?.[0];
    if (word === undefined) {
      out += source[i++];
      continue;
    }
    const found = /^nodes(\s*\.\s*\??)([a-z][a-z0-9_]*)/.exec(source.slice(i));
    const to = found && word === "nodes" && !/\.\s*$/.test(out) ? names.get(found[2] as string) : undefined;
    if (found && to !== undefined) {
      out += `nodes${found[1]}${to}`;
      i += found[0].length;
      continue;
    }
    out += word;
    i += word.length;
  }
  return out;
}

// pieces takes a text apart at its ${{ … }}, as the service does.
export function pieces(source: string): { text: string; from: number; expression: boolean; closed: boolean }[] {
  const found: { text: string; from: number; expression: boolean; closed: boolean }[] = [];
  let at = 0;
  for (let open = source.indexOf("${{"); open >= 0; open = source.indexOf("${{", open)) {
    if (source[open - 1] === "$") {
      open += 3;
      continue;
    }
    const begin = open + 3;
    const end = endOf(source, begin);
    found.push({ text: source.slice(at, begin), from: at, expression: false, closed: true });
    found.push({
      text: source.slice(begin, end ?? source.length),
      from: begin,
      expression: true,
      closed: end !== undefined,
    });
    at = end ?? source.length;
    open = at;
  }
  if (at < source.length) found.push({ text: source.slice(at), from: at, expression: false, closed: true });
  return found;
}

// endOf is where the }} stands that closes an expression.
function endOf(source: string, from: number): number | undefined {
  let depth = 0;
  for (let i = from; i < source.length; i++) {
    quoted.lastIndex = i;
    const c = source[i];
    if (c === '"' || c === "'") {
      const literal = quoted.exec(source);
      if (!literal) return undefined;
      i += literal[0].length - 1;
    } else if (c === "{") depth++;
    else if (c === "}" && depth > 0) depth--;
    else if (source.startsWith("}}", i)) return i;
  }
  return undefined;
}

// follow is a text of a definition after nodes were renamed. Key is the field
// that it stands in.
export function follow(text: string, key: string, names: ReadonlyMap<string, string>): string {
  if (bare.has(key)) return renamed(text, names);
  if (!text.includes("${{")) return text;
  return pieces(text)
    .map((p) => (p.expression ? renamed(p.text, names) : p.text))
    .join("");
}
