import { pbkdf2 } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import { stageFile, writeAtomically } from "../../../../src/platform/files/atomic-file.ts";
import { onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const scratch = scratchForEach();
afterEach(() => {
	vi.restoreAllMocks();
});

const modeOf = (path: string) => statSync(path).mode & 0o777;

/** From here on the disk takes half of what it is given at a time, as a nearly full one does. */
async function makeWritesShort(): Promise<void> {
	const handle = await open(scratch.write("any", ""), "r+");
	const prototype: { write: (...args: unknown[]) => unknown } = Object.getPrototypeOf(handle);
	const { write } = prototype;
	await handle.close();
	vi.spyOn(prototype, "write").mockImplementation(function (this: unknown, ...args: unknown[]) {
		const [buffer, offset = 0, length, position] = args;
		if (!(buffer instanceof Uint8Array)) return write.apply(this, args);
		const whole = typeof length === "number" ? length : buffer.length - Number(offset);
		return write.apply(this, [buffer, offset, Math.ceil(whole / 2), position]);
	});
}

/**
 * Every sync of a file or a directory from here on, as `act` has it; it gets the path and the content of what was
 * synced.
 */
async function watchSyncs(act: (isFolder: boolean) => void): Promise<string[]> {
	const seen: string[] = [];
	const handle = await open(scratch.write("any", ""), "r");
	const prototype: { sync: () => Promise<void> } = Object.getPrototypeOf(handle);
	const { sync } = prototype;
	await handle.close();
	rmSync(scratch.path("any"));
	vi.spyOn(prototype, "sync").mockImplementation(async function (this: FileHandle) {
		const stats = await this.stat();
		act(stats.isDirectory());
		const [temporary] = scratch.names().filter((name) => name.endsWith(".tmp"));
		seen.push(stats.isDirectory() ? `folder of ${scratch.names().join()}` : scratch.text(temporary ?? ""));
		await sync.call(this);
	});
	return seen;
}

describe("an atomic write", () => {
	it("has its content on the disk before it takes the place of the file, and its name after that", async () => {
		scratch.write("a.json", "a former, longer content");
		const seen = await watchSyncs(() => undefined);
		await writeAtomically(scratch.path("a.json"), "new", 0o600);
		expect(seen).toEqual(["new", "folder of a.json"]);
	});

	it("fails, and changes nothing, if its content cannot be brought to the disk", async () => {
		scratch.write("a.json", "former");
		await watchSyncs((isFolder) => {
			if (!isFolder) throw Object.assign(new Error("no"), { code: "EIO" });
		});
		await expect(writeAtomically(scratch.path("a.json"), "new", 0o600)).rejects.toMatchObject({ code: "EIO" });
		expect([scratch.text("a.json"), scratch.names()]).toEqual(["former", ["a.json"]]);
	});

	it.each(["EINVAL", "EIO", "ENOTSUP", "EACCES"])("has happened if its folder cannot be synced: %s", async (code) => {
		await watchSyncs((isFolder) => {
			if (isFolder) throw Object.assign(new Error("no"), { code });
		});
		expect(await writeAtomically(scratch.path("a.json"), "new", 0o600)).toMatchObject({ size: 3n });
		expect([scratch.text("a.json"), scratch.names()]).toEqual(["new", ["a.json"]]);
	});

	it("replaces the whole content and leaves nothing else behind", async () => {
		scratch.write("a.json", "a former, longer content");
		await writeAtomically(scratch.path("a.json"), "new", 0o600);
		expect(scratch.text("a.json")).toBe("new");
		expect(scratch.names()).toEqual(["a.json"]);
	});

	onPosix("gives the file exactly the wanted mode, whatever it had and whatever the process mask", async () => {
		scratch.write("a.json", "x");
		chmodSync(scratch.path("a.json"), 0o644);
		const mask = process.umask(0o777);
		try {
			await writeAtomically(scratch.path("a.json"), "new", 0o600);
		} finally {
			process.umask(mask);
		}
		expect(modeOf(scratch.path("a.json"))).toBe(0o600);
		await writeAtomically(scratch.path("b.json"), "new", 0o640);
		expect(modeOf(scratch.path("b.json"))).toBe(0o640);
	});

	onPosix("makes the folder if there is none, for its owner alone", async () => {
		await writeAtomically(scratch.path("new/deep/a.json"), "x", 0o600);
		expect(scratch.text("new/deep/a.json")).toBe("x");
		expect(modeOf(scratch.path("new"))).toBe(0o700);
		expect(modeOf(scratch.path("new/deep"))).toBe(0o700);
	});

	it("never shows a reader half a file", async () => {
		const target = scratch.path("a.json");
		const contents = [JSON.stringify("x".repeat(50_000)), JSON.stringify("y".repeat(10))];
		await writeAtomically(target, contents[0] ?? "", 0o600);
		let isWriting = true;
		const writing = (async () => {
			for (let round = 0; round < 12; round += 1) await writeAtomically(target, contents[round % 2] ?? "", 0o600);
			isWriting = false;
		})();
		while (isWriting) {
			expect(contents).toContain(readFileSync(target, "utf8"));
			await new Promise((resolve) => setImmediate(resolve));
		}
		await writing;
	});

	it("keeps the former content, and no rest of its own, when it fails", async () => {
		mkdirSync(scratch.path("a.json"));
		scratch.write("a.json/inside", "precious");
		await expect(writeAtomically(scratch.path("a.json"), "new", 0o600)).rejects.toMatchObject({
			code: expect.stringMatching(/EISDIR|ENOTEMPTY|EEXIST|EPERM/),
		});
		expect(scratch.text("a.json/inside")).toBe("precious");
		expect(scratch.names()).toEqual(["a.json"]);
	});

	it("changes nothing if the file is no longer the one it was meant for", async () => {
		scratch.write("a.json", "a stranger's");
		expect(await writeAtomically(scratch.path("a.json"), "ours", 0o600, () => false)).toBeUndefined();
		expect(scratch.text("a.json")).toBe("a stranger's");
		expect(scratch.names()).toEqual(["a.json"]);
	});

	it("leaves no gap between the last look at the file and its replacement, however busy the disk is", async () => {
		const target = scratch.write("a.json", "former");
		const busy = () => promisify(pbkdf2)("x", "y", 50_000, 32, "sha256");
		let syncs: Promise<unknown>[] = [];
		const write = writeAtomically(target, "ours", 0o600, () => {
			// As many slow jobs as there are threads, and twice that. Meanwhile another process writes.
			syncs = Array.from({ length: 8 }, busy);
			setImmediate(() => writeFileSync(target, "theirs, which came later"));
			return readFileSync(target, "utf8") === "former";
		});
		await write;
		await Promise.all(syncs);
		expect(scratch.text("a.json")).toBe("theirs, which came later");
	});

	it("sweeps away what a killed process left beside the file, once it is old, and nothing else", async () => {
		const old = new Date(Date.now() - 10 * 60_000);
		// The highest process id there can be anywhere, and then some.
		const gone = 2 ** 30;
		for (const name of [
			`a.json.${gone}-0123abcd.tmp`,
			`a.json.${process.pid}-0123abcd.tmp`,
			`b.json.${gone}-0123abcd.tmp`,
			"a.json.notes.tmp",
			"a.json.bak-1",
		]) {
			utimesSync(scratch.write(name, "token"), old, old);
		}
		scratch.write(`a.json.${gone}-9999abcd.tmp`, "a moment ago");
		await writeAtomically(scratch.path("a.json"), "x", 0o600);
		expect(scratch.names()).toEqual(
			[
				"a.json",
				"a.json.bak-1",
				"a.json.notes.tmp",
				`a.json.${gone}-9999abcd.tmp`,
				`a.json.${process.pid}-0123abcd.tmp`,
				`b.json.${gone}-0123abcd.tmp`,
			].sort(),
		);
	});

	it("never takes a part of the content for the whole", async () => {
		scratch.write("a.json", JSON.stringify({ former: true }));
		await makeWritesShort();
		const next = JSON.stringify({ next: "x".repeat(10_000) });
		const isWritten = await writeAtomically(scratch.path("a.json"), next, 0o600).catch(() => false);
		expect(scratch.text("a.json")).toBe(isWritten ? next : JSON.stringify({ former: true }));
	});
});

describe("a staged file", () => {
	it("proves room for what is to come before anything else happens", async () => {
		const staged = await stageFile(scratch.path("a.json"), { bytes: 5000, mode: 0o600 });
		const [name = ""] = scratch.names("a.json");
		expect(statSync(scratch.path(name)).size).toBe(5000);
		await staged.discard();
		expect(scratch.names()).toEqual([]);
	});

	it("does not take a part of the room for all of it", async () => {
		await makeWritesShort();
		const staged = await stageFile(scratch.path("b.json"), { bytes: 5000, mode: 0o600 });
		const [name = ""] = scratch.names("b.json");
		expect(statSync(scratch.path(name)).size).toBe(5000);
		await staged.discard();
	});

	it("holds what was written last, without the room that was made", async () => {
		const staged = await stageFile(scratch.path("a.json"), { bytes: 5000, mode: 0o600 });
		await staged.write("a first and longer content");
		await staged.write("second ü");
		await staged.commit();
		await staged.discard();
		expect(scratch.text("a.json")).toBe("second ü");
	});

	it("a staged file can be thrown away twice", async () => {
		const staged = await stageFile(scratch.path("a.json"), { bytes: 0, mode: 0o600 });
		await staged.discard();
		await expect(staged.discard()).resolves.toBeUndefined();
	});

	it("says what the file system says if the folder is none", async () => {
		scratch.write("file", "x");
		await expect(stageFile(scratch.path("file/a.json"), { bytes: 0, mode: 0o600 })).rejects.toMatchObject({
			code: expect.stringMatching(/ENOTDIR|EEXIST/),
		});
	});
});
