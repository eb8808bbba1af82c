import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { reasonOf } from "../../../../src/pi/command.ts";
import { openInGivenFolder } from "../../../../src/platform/files/shared-document.ts";
import { openAccountStore } from "../../../../src/platform/stores/account-store.ts";
import { accountsPlaceOf } from "../../../../src/platform/stores/agent-directory.ts";
import { openStateStore } from "../../../../src/platform/stores/state-store.ts";
import { anAccount } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const FILE = "codex-accounts.json";
const ID = anId("3f9c0a7be21d");

const scratch = scratchForEach();
let problems: string[];
let opened: { flush(): Promise<void> }[];
beforeEach(() => {
	problems = [];
	opened = [];
	mkdirSync(scratch.path("home"));
});
afterEach(async () => {
	// What is pending is written, so that nothing is tried again in a later test.
	rmSync(scratch.path("away"), { recursive: true, force: true });
	rmSync(scratch.path(`home/${FILE}`), { force: true });
	mkdirSync(scratch.path("away"));
	await Promise.all(opened.map((store) => store.flush()));
});

const tell = (text: string) => void problems.push(text);
function openAccounts() {
	const accounts = openAccountStore(scratch.path(`home/${FILE}`), tell, Date.now);
	opened.push(accounts);
	return accounts;
}

describe("an accounts file that is a link to where no file can be", () => {
	const link = (to: string) => symlinkSync(scratch.path(to), scratch.path(`home/${FILE}`));

	onPosix.each([
		["no folder is there", () => link(`away/${FILE}`)],
		[
			"no folder is there, by way of another link",
			() => {
				symlinkSync(scratch.path(`away/${FILE}`), scratch.path("other"));
				link("other");
			},
		],
		[
			"a file is in the place of the folder",
			() => {
				writeFileSync(scratch.path("away"), "");
				link(`away/${FILE}`);
			},
		],
	])("is not written, and one sentence says why, if %s", async (_what, make) => {
		make();
		const wasThere = existsSync(scratch.path("away"));
		const accounts = openAccounts();
		const why = `it is a link to ${scratch.path(`away/${FILE}`)}, and there is no folder ${scratch.path("away")}`;
		expect(await accounts.put(anAccount("work")).then(() => "stored", reasonOf)).toBe(
			`${FILE} cannot be written: ${why} (ENOTDIR)`,
		);
		expect(problems).toEqual([`${FILE} cannot be written (${why}); changes are kept in memory.`]);
		// Nothing is spent whose next token could not be stored, and no folder hides those of a disk that is away.
		await expect(accounts.assertWritable()).rejects.toThrow(why);
		await expect(accounts.whileRefreshing(ID, async () => "sent")).rejects.toThrow(why);
		expect(existsSync(scratch.path("away"))).toBe(wasThere);
		expect(accounts.list()).toHaveLength(1);
	});

	onPosix("is not written, and one sentence says why, if it leads back to itself", async () => {
		link(`home/${FILE}`);
		const accounts = openAccounts();
		expect(await accounts.put(anAccount("work")).then(() => "stored", reasonOf)).toMatch(
			/^codex-accounts\.json cannot be written: .* back to itself \(ELOOP\)$/,
		);
		expect(problems).toEqual([expect.stringMatching(/^codex-accounts\.json cannot be read \(.* back to itself\)/)]);
	});

	onPosix(
		"leaves the folder of the state beside it to the person as well, and is written once that is there",
		async () => {
			link(`away/${FILE}`);
			const { state: path, isElsewhere } = accountsPlaceOf(scratch.path("home"));
			const state = openStateStore(path, tell, Date.now, openInGivenFolder);
			opened.push(state);
			await state.setPin(ID);
			expect([isElsewhere, state.pin()]).toEqual([true, ID]);
			expect(existsSync(scratch.path("away"))).toBe(false);
			expect(problems).toEqual([
				`codex-state.json cannot be written (there is no folder ${scratch.path("away")}); changes are kept in memory.`,
			]);
			const accounts = openAccounts();
			await accounts.put(anAccount("work")).catch(() => undefined);
			mkdirSync(scratch.path("away"));
			await Promise.all([state.flush(), accounts.flush()]);
			expect(scratch.json(`away/${FILE}`)).toMatchObject({ accounts: [{ label: "work" }] });
			expect(scratch.json("away/codex-state.json")).toMatchObject({ pin: ID });
		},
	);
});
