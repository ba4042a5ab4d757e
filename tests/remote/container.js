// Makes a container in an emulated account: container.js ENDPOINT ACCOUNT NAME. Azurite brings no client, so the request is
// signed here ("Authorize with Shared Key" in the reference of Azure Storage), with the key that everybody knows.
const crypto = require("node:crypto");

const KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const [endpoint, account, name] = process.argv.slice(2);
const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2022-11-02" };
const lines = Object.entries(headers).map(([header, value]) => `${header}:${value}`);
const text = ["PUT", ..."\n".repeat(10).split("\n"), ...lines, `/${account}/${account}/${name}`, "restype:container"].join("\n");
const signature = crypto.createHmac("sha256", Buffer.from(KEY, "base64")).update(text).digest("base64");
headers.Authorization = `SharedKey ${account}:${signature}`;

fetch(`${endpoint}/${name}?restype=container`, { method: "PUT", headers }).then(async (response) => {
  if (!response.ok) {
    console.error(response.status, await response.text());
    process.exit(1);
  }
});
