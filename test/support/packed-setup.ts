import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packRepository, unpack } from "./packed.ts";

/** Packs what the tests of the project `packed` load in place of the sources. */
export default async function packExtension(): Promise<() => void> {
	const folder = mkdtempSync(join(realpathSync(tmpdir()), "packed-"));
	process.env.PACKED_EXTENSION = await unpack(await packRepository(folder));
	return () => rmSync(folder, { recursive: true, force: true });
}
