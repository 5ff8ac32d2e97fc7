// Where the service is, as its page says: "" at the root of its host, "/gathering" under a path.
export const base = new URL(document.baseURI).pathname.replace(/\/$/, "");

// The nonce of this page, by which libraries may add styles.
export const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
