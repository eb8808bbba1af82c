import { chmodSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packRepository, unpack } from "./package.ts";

/** Packs the extension that the tests load, unless another project has, or the developer named one. */
export default async function packExtension(): Promise<(() => void) | undefined> {
	if (process.env.EXTENSION_UNDER_TEST !== undefined) return undefined;
	const folder = mkdtempSync(join(realpathSync(tmpdir()), "packed-"));
	// Some tests run pi as another user.
	chmodSync(folder, 0o755);
	process.env.EXTENSION_UNDER_TEST = join(await unpack(await packRepository(folder)), "index.ts");
	return () => rmSync(folder, { recursive: true, force: true });
}
