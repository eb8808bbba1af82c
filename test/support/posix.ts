import { statSync } from "node:fs";
import { expect, it } from "vitest";

const isPosix = process.platform !== "win32";

/** `it` for what Windows lacks: permission bits, named pipes, devices, and links that need no privilege. */
export const onPosix = it.skipIf(!isPosix);

/** Expects the permission bits of a file. Windows keeps none: there the access list of the home protects it. */
export function expectMode(path: string, mode: number): void {
	if (isPosix) expect(statSync(path).mode & 0o777).toBe(mode);
}
