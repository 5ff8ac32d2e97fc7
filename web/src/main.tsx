import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { nonce } from "./api/base";
import { App } from "./app";
import "./app.css";

// By this name libraries look for the nonce of the styles that they add.
Object.assign(globalThis, { __webpack_nonce__: nonce });

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
