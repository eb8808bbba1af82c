import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, vi } from "vitest";
import { SECRET_MARK } from "../support/fake-codex/index.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { POSTGRES_PASSWORD } from "../support/postgres.ts";
import { wide } from "../support/tiers.ts";

const LONGEST_MS = 300_000;
vi.setConfig({ testTimeout: LONGEST_MS + 10_000 });

const run = promisify(execFile);

/** What is shown, in this order. */
const STORY: readonly RegExp[] = [
	/laptop> \/multicodex share postgres:\/\/postgres:…@/,
	/made the shared pool \w+ in 127\.0\.0\.1:\d+\/\w+, with work, personal\./,
	/desktop has joined the shared pool \w+ as a keeper\. It has work, personal\./,
	/Answered by "(?:work|personal)"\./,
	/The laptop is refused/,
	/refusals after the first one: 0/,
	/left on its disk: 1 sealed journal, and no token that can be read/,
	/The laptop is back/,
	/What the backend saw:/,
	/refresh tokens sent: 1, sent twice: 0/,
];

wide("the demo of two machines comes to its end without a viewer, and shows one token sent once", async () => {
	const { stdout, stderr } = await run("npm", ["run", "demo", "--", "--fleet"], {
		cwd: repositoryRoot,
		timeout: LONGEST_MS,
	});
	let at = 0;
	for (const step of STORY) {
		const found = step.exec(stdout.slice(at));
		expect(found, `${step} in what follows:\n${stdout.slice(at)}`).not.toBeNull();
		at += (found?.index ?? 0) + (found?.[0].length ?? 0);
	}
	expect(`${stdout}${stderr}`).not.toMatch(
		new RegExp(`${SECRET_MARK}|${POSTGRES_PASSWORD}|pi-pool-(?:keeper|runner)-[\\w-]{9}`),
	);
	// The token that is on the laptop alone is not sent again meanwhile.
	expect(stdout.match(/error: .*/g)).toEqual([expect.stringContaining("1 account was refused")]);
});
