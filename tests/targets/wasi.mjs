// node wasi.mjs PROGRAM ARGUMENTS...: runs a WASI program; files are those of the current folder, and of absolute paths
// in it. (With "/" as a folder of its own, Node finds no relative paths.)
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [program, ...words] = process.argv.slice(2);
const here = process.cwd();
const preopens = { [here]: here, ".": "." };
const wasi = new WASI({ version: "preview1", args: [program, ...words], env: process.env, preopens });
const module = await WebAssembly.compile(readFileSync(program));
process.exit(wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject())));
