// Place is the page of what an entry is about, as a link takes it.
export type Place =
  | { to: "/runs/$id" | "/pipelines/$id" | "/projects/$id"; params: { id: string } }
  | { to: "/breakers" | "/providers" | "/settings" | "/users" };

// placeOf is where an entry's object is shown; undefined where it is nowhere.
export function placeOf(object: string): Place | undefined {
  const [kind, id] = [object.split(/[_:]/, 1)[0], object];
  switch (kind) {
    case "run":
      return { to: "/runs/$id", params: { id } };
    case "pip":
      return { to: "/pipelines/$id", params: { id } };
    case "project":
      return { to: "/projects/$id", params: { id: object.slice("project:".length) } };
    case "breaker":
      return { to: "/breakers" };
    case "prv":
      return { to: "/providers" };
    case "usr":
      return { to: "/users" };
    case "settings":
      return { to: "/settings" };
    default:
      return undefined;
  }
}
