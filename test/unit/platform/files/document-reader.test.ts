import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDocumentReader } from "../../../../src/platform/files/document-reader.ts";
import { openAccountStore } from "../../../../src/platform/stores/account-store.ts";
import { openStateStore } from "../../../../src/platform/stores/state-store.ts";
import { NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const scratch = scratchForEach();
let problems: string[];
beforeEach(() => {
	problems = [];
});
afterEach(() => {
	chmodSync(scratch.path("."), 0o700);
});

const ACCOUNTS = "codex-accounts.json";
const STATE = "codex-state.json";
const told = (text: string) => void problems.push(text);
const accounts = () =>
	openAccountStore(scratch.path(ACCOUNTS), told, () => NOW, undefined, undefined, openDocumentReader);
const state = () => openStateStore(scratch.path(STATE), told, () => NOW, openDocumentReader);

/** Names, contents and times of everything in the folder, and the time of the folder itself. */
function everything() {
	const folder = scratch.path(".");
	const names = readdirSync(folder).sort();
	return [
		statSync(folder).mtimeMs,
		...names.map((name) => [name, statSync(scratch.path(name)).mtimeMs, readFileSync(scratch.path(name), "utf8")]),
	];
}

const OLDER = {
	accounts: [{ email: "me@work.example", accessToken: "a.b.c", refreshToken: "r", expiresAt: 1, accountId: "w" }],
};

describe("a reader of our files", () => {
	it.each([
		["a damaged file", "{", /^codex-accounts\.json is damaged and cannot be read\.$/],
		["a file of a newer version", '{"version":99,"accounts":[]}', /^codex-accounts\.json was written by a newer /],
		["a file of an older version", JSON.stringify(OLDER), undefined],
		["no file", undefined, undefined],
	])("leaves %s as it is, in a folder that can be written", async (_what, content, problem) => {
		if (content !== undefined) writeFileSync(scratch.path(ACCOUNTS), content);
		if (content !== undefined) writeFileSync(scratch.path(STATE), "{");
		const before = everything();
		const [rows, status] = [accounts(), state()];
		for (let looks = 0; looks < 3; looks += 1) {
			rows.list();
			status.snapshot();
			status.liveSessions(undefined);
		}
		await rows.flush();
		await status.flush();
		expect(everything()).toEqual(before);
		const ofAccounts = problems.filter((text) => text.startsWith(ACCOUNTS));
		expect(ofAccounts).toEqual(problem ? [expect.stringMatching(problem)] : []);
		expect(problems.filter((text) => text.startsWith(STATE))).toHaveLength(content === undefined ? 0 : 1);
	});

	it("says once that a file cannot be read, and reads it once it can be", () => {
		mkdirSync(scratch.path(ACCOUNTS));
		const rows = accounts();
		expect([rows.list(), rows.list()]).toEqual([[], []]);
		expect(problems).toEqual([expect.stringMatching(/^codex-accounts\.json cannot be read \(not a regular file\)/)]);
	});

	it("follows what others write", () => {
		const status = state();
		expect(status.pin()).toBeUndefined();
		scratch.write(STATE, { version: 1, pin: "3f9c0a7be21d", accounts: {} });
		expect(status.pin()).toBe("3f9c0a7be21d");
	});

	it("refuses every change", async () => {
		scratch.write(ACCOUNTS, { version: 2, accounts: [] });
		const before = everything();
		await expect(accounts().edit(anId("3f9c0a7be21d"), { enabled: false })).rejects.toMatchObject({ code: "EREADER" });
		expect(() => state().updateSoon(anId("3f9c0a7be21d"), (status) => status)).toThrow("only read");
		await state().setPin(anId("3f9c0a7be21d"));
		expect(everything()).toEqual(before);
	});
});
