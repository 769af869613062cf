// Loads the packages that `make browser` installs in build/node, whatever folder a script is in.
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const home = fileURLToPath(new URL('../../build/node/', import.meta.url));
const resolve = createRequire(`${home}package.json`).resolve;

export async function load(name) {
  try {
    return await import(pathToFileURL(resolve(name)));
  } catch (error) {
    console.error(`the package ${name} is missing (${error.code ?? error.message}): run \`make browser\``);
    process.exit(1);
  }
}
