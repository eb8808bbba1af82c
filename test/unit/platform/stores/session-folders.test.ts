import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { AccountSets } from "../../../../src/core/account-sets.ts";
import {
	createSessionFolders,
	foldersAround,
	projectOf,
	realFolder,
} from "../../../../src/platform/stores/session-folders.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const scratch = scratchForEach();
let root: string;
let sets: AccountSets;
let registry: Map<unknown, unknown>;
let processFolder: () => string;

const folder = (...names: string[]) => {
	const path = join(root, ...names);
	mkdirSync(path, { recursive: true });
	return path;
};
/** The extension as a host loads it for one session. */
const instance = () => createSessionFolders({ sets: () => sets, processFolder: () => processFolder(), registry });
const accountsIn = (cwd: string) => {
	const folders = instance();
	folders.begin(aSessionId("s"), cwd);
	return folders.setFor(aSessionId("s"))?.accounts;
};

beforeEach(() => {
	root = realFolder(scratch.dir);
	sets = {};
	registry = new Map();
	processFolder = () => root;
});

describe("the account set of a session", () => {
	it("the account set of a session is that of the folder it runs in, or of the nearest one around it", () => {
		const project = folder("project");
		const deep = folder("project", "sub", "deep");
		sets = { [project]: [anId("a")], [join(project, "sub")]: [anId("b")] };
		expect([accountsIn(project), accountsIn(deep), accountsIn(folder("project-2"))]).toEqual([["a"], ["b"], undefined]);
	});

	it("is found through links, trailing slashes and detours, in the folder's name as in the key", () => {
		const project = folder("project");
		symlinkSync(project, join(root, "link"));
		for (const key of [`${project}/`, `${root}/x/../project`, join(root, "link")]) {
			sets = { [key]: [anId("a")] };
			expect(accountsIn(project)).toEqual(["a"]);
			expect(accountsIn(join(root, "link"))).toEqual(["a"]);
			expect(accountsIn(`${project}//`)).toEqual(["a"]);
		}
	});

	it("allows what all keys of one folder allow", () => {
		const project = folder("project");
		symlinkSync(project, join(root, "link"));
		sets = { [project]: [anId("a"), anId("b")], [join(root, "link")]: [anId("b"), anId("c")] };
		expect(accountsIn(project)).toEqual(["b"]);
	});

	it("holds in the linked worktrees of its repository, wherever they lie", () => {
		const main = folder("main");
		const worktree = folder("elsewhere", "fix");
		const gitFile = (line: string) => writeFileSync(join(worktree, ".git"), `${line}\n`);
		sets = { [main]: [anId("a")] };
		gitFile(`gitdir: ${join(main, ".git", "worktrees", "fix")}`);
		expect(accountsIn(folder("elsewhere", "fix", "src"))).toEqual(["a"]);
		gitFile("gitdir: ../../main/.git/worktrees/fix");
		expect(accountsIn(worktree)).toEqual(["a"]);
		sets = { [main]: [anId("a")], [join(root, "elsewhere")]: [anId("b")] };
		expect(accountsIn(worktree)).toEqual(["b"]);
		gitFile(`gitdir:  ${join(main, ".git")}//worktrees///fix//  `);
		expect(accountsIn(worktree)).toEqual(["b"]);
		sets = { [main]: [anId("a")] };
		expect(accountsIn(worktree)).toEqual(["a"]);
		for (const line of ["gitdir: nowhere", "", "gitdir:", "gitdir: .", `gitdir: ${main}`, "worktrees/fix"]) {
			gitFile(line);
			expect([line, accountsIn(worktree)]).toEqual([line, undefined]);
		}
	});

	it("takes no longer to read what leads to a repository if that was made to be slow", () => {
		const worktree = folder("slow");
		const began = process.cpuUsage();
		for (const text of [`gitdir:${" ".repeat(2000)}${"/".repeat(2000)}x`, `gitdir:${"/worktrees".repeat(400)} x`]) {
			writeFileSync(join(worktree, ".git"), text);
			expect(accountsIn(worktree)).toBeUndefined();
		}
		expect(process.cpuUsage(began).user).toBeLessThan(1_000_000);
	});

	it("is decided by the person's settings alone: no file of a project changes it", () => {
		const project = folder("project");
		mkdirSync(join(project, ".pi"));
		writeFileSync(join(project, ".pi", "settings.json"), '{"pi-multicodex":{"sets":{"/":["b"]}}}');
		sets = { [project]: [anId("a")] };
		expect(accountsIn(project)).toEqual(["a"]);
	});

	it("follows the settings while the session runs", () => {
		const folders = instance();
		folders.begin(aSessionId("s"), folder("project"));
		expect(folders.setFor(aSessionId("s"))).toBeUndefined();
		sets = { [folder("project")]: [anId("a")] };
		expect(folders.setFor(aSessionId("s"))?.accounts).toEqual(["a"]);
	});

	it("stays that of the folder in which the session began, even if that is moved away or gone", () => {
		const project = folder("project");
		sets = { [project]: [anId("a")] };
		const folders = instance();
		folders.begin(aSessionId("s"), project);
		renameSync(project, join(root, "moved"));
		symlinkSync(join(root, "moved"), project);
		expect(folders.setFor(aSessionId("s"))?.accounts).toEqual(["a"]);
		sets = { ...sets };
		expect(folders.setFor(aSessionId("s"))?.accounts).toEqual(["a"]);
		rmSync(project);
		expect(folders.setFor(aSessionId("s"))?.accounts).toEqual(["a"]);
		expect(accountsIn(project)).toEqual(["a"]);
	});
});

it("a new session has the set of the folder that its path leads to by then, in a key as in its own folder", () => {
	const [one, two, link] = [folder("one"), folder("two"), join(root, "link")];
	sets = { [one]: [anId("a")], [two]: [anId("b")] };
	const folders = instance();
	const relink = (target: string) => {
		rmSync(link, { force: true });
		symlinkSync(target, link);
	};
	const accountsAt = (cwd: string) => {
		folders.begin(aSessionId("s"), cwd);
		return folders.setFor(aSessionId("s"))?.accounts;
	};
	relink(one);
	expect(accountsAt(link)).toEqual(["a"]);
	relink(two);
	expect(accountsAt(link)).toEqual(["b"]);

	sets = { [link]: [anId("c")] };
	expect([accountsAt(one), accountsAt(two)]).toEqual([undefined, ["c"]]);
	relink(one);
	expect([accountsAt(one), accountsAt(two)]).toEqual([["c"], undefined]);
});

describe("several sessions in one process", () => {
	it("sessions have each the set of its own folder, whichever instance their requests come through", () => {
		sets = { [folder("one")]: [anId("a")], [folder("two")]: [anId("b")] };
		const [first, second] = [instance(), instance()];
		first.begin(aSessionId("parent"), folder("one"));
		second.begin(aSessionId("subagent"), folder("two"));
		expect([first, second].map((folders) => folders.setFor(aSessionId("subagent"))?.accounts)).toEqual([["b"], ["b"]]);
		expect([first, second].map((folders) => folders.setFor(aSessionId("parent"))?.accounts)).toEqual([["a"], ["a"]]);
	});

	it("bind a request that may be of any to what all their sets allow", () => {
		sets = { [folder("one")]: [anId("a"), anId("b")], [folder("two")]: [anId("b"), anId("c")] };
		const [first, second, third] = [instance(), instance(), instance()];
		first.begin(aSessionId("one"), folder("one"));
		expect(first.setFor(aSessionId("summary"))?.accounts).toEqual(["a", "b"]);
		second.begin(aSessionId("two"), folder("two"));
		third.begin(aSessionId("three"), folder("three"));
		expect(first.setFor(aSessionId("summary"))?.accounts).toEqual(["b"]);
		expect(third.setFor(undefined)?.accounts).toEqual(["b"]);
		second.end();
		expect(first.setFor(aSessionId("summary"))?.accounts).toEqual(["a", "b"]);
	});

	it("sessions end with the session that takes their place", () => {
		sets = { [folder("one")]: [anId("a")], [folder("two")]: [anId("b")] };
		const folders = instance();
		folders.begin(aSessionId("one"), folder("one"));
		folders.begin(aSessionId("two"), folder("two"));
		expect(folders.setFor(aSessionId("summary"))?.accounts).toEqual(["b"]);
	});
});

describe("a request of no known session", () => {
	it("is bound to the set of the folder in which the process runs", () => {
		const project = folder("project");
		sets = { [project]: [anId("a")] };
		expect(instance().setFor(aSessionId("unknown"))).toBeUndefined();
		processFolder = () => project;
		expect(instance().setFor(aSessionId("unknown"))?.accounts).toEqual(["a"]);
	});

	it("is bound to every set if that folder is gone", () => {
		sets = { [folder("one")]: [anId("a"), anId("b")], [folder("two")]: [anId("b")] };
		processFolder = () => {
			throw new Error("ENOENT: uv_cwd");
		};
		expect(instance().setFor(aSessionId("unknown"))?.accounts).toEqual(["b"]);
	});
});

it("no folder is looked at", () => {
	processFolder = () => {
		throw new Error("asked for the folder");
	};
	const folders = instance();
	folders.begin(aSessionId("s"), "/no/such\0folder");
	expect([folders.setFor(aSessionId("s")), folders.setFor(undefined)]).toEqual([undefined, undefined]);
});

describe("the folder that a set is stored for", () => {
	it("is the root of the checkout, also of a worktree, else the folder itself", () => {
		mkdirSync(join(folder("repo", "src", "deep"), ".."), { recursive: true });
		expect(projectOf(join(root, "repo", "src"))).toBe(join(root, "repo", "src"));
		mkdirSync(join(root, "repo", ".git"));
		expect(projectOf(join(root, "repo", "src", "deep"))).toBe(join(root, "repo"));
		writeFileSync(join(folder("tree", "src"), "..", ".git"), "gitdir: /elsewhere/.git/worktrees/tree\n");
		expect(projectOf(join(root, "tree", "src"))).toBe(join(root, "tree"));
	});

	it("is named without links, as far as it is there", () => {
		symlinkSync(folder("project"), join(root, "link"));
		expect(realFolder(join(root, "link", "gone", "deep"))).toBe(join(root, "project", "gone", "deep"));
		expect(foldersAround(join(root, "link")).slice(0, 2)).toEqual([join(root, "project"), root]);
	});
});
