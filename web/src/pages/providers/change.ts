import type { Schemas } from "@/api/client";

export type Provider = Schemas["Provider"];

export type KeyChoice = "keep" | "replace" | "remove";

interface Wanted {
  address: string;
  choice: KeyChoice;
  key: string;
}

// changeOf is what is sent to make a provider what is wanted; what stays as it
// is is left out.
export function changeOf(p: Provider, w: Wanted): Schemas["ProviderUpdate"] {
  const address = w.address.trim();
  return {
    ...(address !== p.base_url && { base_url: address }),
    ...(w.choice === "replace" && { key: w.key.trim() }),
    ...(w.choice === "remove" && { key: "" }),
  };
}

// orphaned reports whether the key that is stored would go to an address that
// it was not given for, which the service refuses.
export function orphaned(p: Provider, w: Wanted): boolean {
  return p.has_key && w.choice === "keep" && w.address.trim() !== p.base_url;
}
