import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostNames, prepareHost } from "./hosts.ts";
import { packRepository, unpack } from "./packed.ts";

/**
 * Fetches what the end-to-end tests need once, before vitest starts its workers; with `PACKED=1` packs what they load.
 */
export default async function prepareHosts(): Promise<() => void> {
	for (const name of hostNames) await prepareHost(name);
	if (process.env.PACKED !== "1") return () => undefined;
	const folder = mkdtempSync(join(realpathSync(tmpdir()), "packed-"));
	process.env.PACKED_EXTENSION = await unpack(await packRepository(folder));
	return () => rmSync(folder, { recursive: true, force: true });
}
