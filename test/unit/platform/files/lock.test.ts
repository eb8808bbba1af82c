import { lutimesSync, mkdirSync, rmdirSync, symlinkSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import lockfile from "proper-lockfile";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { clearLock, LockBusyError, withLock, withLockUnlessBusy } from "../../../../src/platform/files/lock.ts";
import { settled } from "../../../support/fakes.ts";
import { onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { hurryTimersOf } from "../../waits.ts";

const scratch = scratchForEach();

describe("a lock", () => {
	it("is pi's: a folder beside the file, gone when the work is done", async () => {
		const names = await withLock(scratch.path("auth.json"), { waitMs: 0 }, () => scratch.names());
		expect(names).toEqual(["auth.json.lock"]);
		expect(scratch.names()).toEqual([]);
	});

	onPosix("does not follow a link, so that both of pi's own locks mean the same", async () => {
		scratch.write("real.json", "{}");
		symlinkSync(scratch.path("real.json"), scratch.path("auth.json"));
		await withLock(scratch.path("auth.json"), { waitMs: 0 }, () => {
			expect(scratch.names()).toContain("auth.json.lock");
			expect(scratch.names()).not.toContain("real.json.lock");
		});
	});

	it("lets one in at a time", async () => {
		let inside = 0;
		let most = 0;
		const work = async () => {
			inside += 1;
			most = Math.max(most, inside);
			await settled();
			inside -= 1;
		};
		await Promise.all(Array.from({ length: 6 }, () => withLock(scratch.path("a"), { waitMs: 60_000 }, work)));
		expect(most).toBe(1);
	});

	it("a lock that this process holds is never stale, whatever the clock says", async () => {
		await withLock(scratch.path("a"), { waitMs: 0 }, async () => {
			const longAgo = new Date(Date.now() - 3_600_000);
			utimesSync(scratch.path("a.lock"), longAgo, longAgo);
			// As another session of this process has it: a copy of its own.
			const copy = await vi.importActual<typeof import("../../../../src/platform/files/lock.ts")>(
				"../../../../src/platform/files/lock.ts?copy",
			);
			expect(copy.withLock).not.toBe(withLock);
			const attempt = copy.withLock(scratch.path("a"), { waitMs: 50 }, () => "theirs");
			await expect(attempt).rejects.toMatchObject({ code: "ELOCKED" });
			const abort = new AbortController();
			const given = copy.withLock(scratch.path("a"), { waitMs: 600_000, signal: abort.signal }, () => "theirs");
			const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
			const before = timers();
			abort.abort(new Error("enough"));
			await expect(given).rejects.toThrow("enough");
			// One that went on for its ten minutes would keep the process.
			expect(timers()).toBeLessThan(before);
		});
		expect(await withLock(scratch.path("a"), { waitMs: 0 }, () => "mine")).toBe("mine");
	});

	it("is given in the order in which it was asked for, past a wait that was given up", async () => {
		const order: number[] = [];
		const had = (number: number, waitMs = 60_000) =>
			withLock(scratch.path("a"), { waitMs }, async () => {
				await settled();
				order.push(number);
			});
		const all = await Promise.allSettled([had(1), had(2), had(3, 0), had(4)]);
		expect([order, all.map(({ status }) => status)]).toEqual([
			[1, 2, 4],
			["fulfilled", "fulfilled", "rejected", "fulfilled"],
		]);
	});

	it("is given back when the work fails", async () => {
		const failing = withLock(scratch.path("a"), { waitMs: 0 }, () => Promise.reject(new Error("no")));
		await expect(failing).rejects.toThrow("no");
		await expect(withLock(scratch.path("a"), { waitMs: 0 }, () => "mine")).resolves.toBe("mine");
	});

	it("a lock that a live process holds is busy, and its holder keeps it", async () => {
		const release = await lockfile.lock(scratch.path("a"), { realpath: false });
		try {
			let hasRun = false;
			const attempt = withLock(scratch.path("a"), { waitMs: 50 }, () => {
				hasRun = true;
			});
			await expect(attempt).rejects.toThrow(LockBusyError);
			expect(hasRun).toBe(false);
			expect(scratch.names()).toEqual(["a.lock"]);
		} finally {
			await release();
		}
	});

	it("a lock that a dead process left behind is taken over", async () => {
		mkdirSync(scratch.path("a.lock"));
		const longAgo = new Date(Date.now() - 60_000);
		utimesSync(scratch.path("a.lock"), longAgo, longAgo);
		await expect(withLock(scratch.path("a"), { waitMs: 0 }, () => "mine")).resolves.toBe("mine");
	});

	it("a lock that another process took for stale ends neither work nor process", async () => {
		hurryTimersOf(2000);
		const outcome = await withLock(scratch.path("a"), { waitMs: 0 }, async () => {
			const later = new Date(Date.now() + 5000);
			utimesSync(scratch.path("a.lock"), later, later);
			// Its loss is noticed when it is to be touched again.
			await setTimeout(100);
			return "done";
		});
		expect(outcome).toBe("done");
		expect(scratch.names()).toEqual(["a.lock"]);
	});

	it("a lock is not waited for after an abort", async () => {
		const release = await lockfile.lock(scratch.path("a"), { realpath: false });
		const abort = new AbortController();
		const attempt = withLock(scratch.path("a"), { waitMs: 600_000, signal: abort.signal }, () => undefined);
		abort.abort(new Error("the person left"));
		await expect(attempt).rejects.toThrow("the person left");
		await release();
	});

	it("a lock is not taken at all when the abort came first", async () => {
		let hasRun = false;
		const signal = AbortSignal.abort(new Error("gone"));
		const attempt = withLock(scratch.path("a"), { waitMs: 0, signal }, () => {
			hasRun = true;
		});
		await expect(attempt).rejects.toThrow("gone");
		expect(hasRun).toBe(false);
	});

	it("a lock that cannot be made at all says so at once", async () => {
		scratch.write("file", "x");
		const attempt = withLock(scratch.path("file/a"), { waitMs: 600_000 }, () => undefined);
		await expect(attempt).rejects.toMatchObject({ code: "ENOTDIR" });
	});
});

describe("what lies where a lock belongs, and is held by no live process", () => {
	const at = (ageMs: number) => new Date(Date.now() - ageMs);
	const mine = (waitMs = 0) => withLock(scratch.path("a"), { waitMs }, () => "mine");
	const folder = (ageMs: number) => {
		mkdirSync(scratch.path("a.lock"));
		utimesSync(scratch.path("a.lock"), at(ageMs), at(ageMs));
	};

	it.each([11_000, 3_600_000, -11_000, -86_400_000])("does not block: touched %d ms ago", async (ageMs) => {
		folder(ageMs);
		expect([await mine(), scratch.names()]).toEqual(["mine", []]);
	});

	it.each([0, 8000, -8000])("may be a lock of a clock that is a little wrong: touched %d ms ago", async (ageMs) => {
		folder(ageMs);
		await expect(mine()).rejects.toThrow(LockBusyError);
		expect(scratch.names()).toEqual(["a.lock"]);
	});

	it.each([3000, 60_000, -60_000])("does not block if it is a file, touched %d ms ago", async (ageMs) => {
		utimesSync(scratch.write("a.lock", "x"), at(ageMs), at(ageMs));
		expect([await mine(), scratch.names()]).toEqual(["mine", []]);
	});

	it("does not block for long if it is a file that was made a moment ago", async () => {
		utimesSync(scratch.write("a.lock", "x"), at(1800), at(1800));
		expect([await mine(4000), scratch.names()]).toEqual(["mine", []]);
	});

	onPosix("does not block for long if it is a link that was made a moment ago, wherever that leads", async () => {
		const links = { a: "nowhere", b: "b.lock", c: "/dev/null", d: "d.lock/below" };
		for (const [name, target] of Object.entries(links)) {
			symlinkSync(target, scratch.path(`${name}.lock`));
			lutimesSync(scratch.path(`${name}.lock`), at(1800), at(1800));
		}
		const had = Object.keys(links).map((name) => withLock(scratch.path(name), { waitMs: 4000 }, () => name));
		expect([await Promise.all(had), scratch.names()]).toEqual([Object.keys(links), []]);
	});

	onPosix.each(["nowhere", "folder"])("does not block if it is a link to %s, which stays as it is", async (target) => {
		mkdirSync(scratch.path("folder"));
		symlinkSync(target, scratch.path("a.lock"));
		lutimesSync(scratch.path("a.lock"), at(5000), at(5000));
		expect([await mine(), scratch.names()]).toEqual(["mine", ["folder"]]);
	});

	it.each([60_000, -60_000])("is kept beside the file if it has something in it: touched %d ms ago", async (ageMs) => {
		folder(ageMs);
		scratch.write("a.lock/note", "x");
		utimesSync(scratch.path("a.lock"), at(ageMs), at(ageMs));
		expect(await mine()).toBe("mine");
		const [kept = "", ...others] = scratch.names();
		expect([scratch.text(`${kept}/note`), others]).toEqual(["x", []]);
		expect(kept).toMatch(/^a\.lock\.corrupt-\d+$/);
	});

	it("is taken over by one process at a time, whenever each of them comes", async () => {
		// Another way to the folder for each: work of one process takes turns by the path.
		const ways = Array.from({ length: 12 }, (_, index) => scratch.path(`way-${index}`));
		for (const way of ways) symlinkSync(scratch.path("."), way);
		let most = 0;
		for (let round = 0; round < 12; round += 1) {
			folder(round % 2 === 0 ? 60_000 : -60_000);
			let inside = 0;
			const work = async () => {
				inside += 1;
				most = Math.max(most, inside);
				await setTimeout(2);
				inside -= 1;
			};
			const come = async (way: string, at: number) => {
				await setTimeout((at * (round + 1)) % 5);
				await withLock(join(way, "a"), { waitMs: 20 }, work);
			};
			await Promise.allSettled(ways.map(come));
		}
		expect([most, scratch.names("a")]).toEqual([1, []]);
	});

	it.each<[string, number, () => void]>([
		["touches it", 1, () => utimesSync(scratch.path("a.lock"), new Date(), new Date())],
		[
			"has made it anew",
			2,
			() => {
				rmdirSync(scratch.path("a.lock"));
				mkdirSync(scratch.path("a.lock"));
			},
		],
	])("stays if a process %s right after it was looked at", async (_what, look, act) => {
		folder(60_000);
		let looks = 0;
		const now = Date.now;
		// The age of what lies there is the last thing that a look asks for.
		const clock = vi.spyOn(Date, "now").mockImplementation(() => {
			looks += 1;
			if (looks === look) act();
			return now();
		});
		onTestFinished(() => clock.mockRestore());
		expect(await clearLock(scratch.path("a.lock"), 10_000)).toBe(false);
		expect(scratch.names()).toEqual(["a.lock"]);
	});

	it("stays while another process is at it, unless that one was killed", async () => {
		folder(60_000);
		mkdirSync(scratch.path("a.lock.clearing"));
		await expect(mine()).rejects.toThrow(LockBusyError);
		utimesSync(scratch.path("a.lock.clearing"), at(11_000), at(11_000));
		expect([await mine(1000), scratch.names()]).toEqual(["mine", []]);
	});
});

describe("a lock that another process takes away while it is being made", () => {
	const missing = (syscall: string) => Object.assign(new Error("ENOENT"), { code: "ENOENT", syscall });

	it.each(["stat", "utime"])("is asked for again, as one that is held: at its %s", async (syscall) => {
		const asked = vi.spyOn(lockfile, "lock").mockRejectedValueOnce(missing(syscall));
		onTestFinished(() => asked.mockRestore());
		expect(await withLock(scratch.path("a"), { waitMs: 5000 }, () => "done")).toBe("done");
		expect(asked).toHaveBeenCalledTimes(2);
	});

	it("is an error at once if its folder is missing", async () => {
		await expect(withLock(scratch.path("nowhere/a"), { waitMs: 5000 }, () => "done")).rejects.toMatchObject({
			code: "ENOENT",
		});
	});
});

describe("a lock that is asked for unless it is busy", () => {
	it("answers busy while another holder has it, and runs nothing", async () => {
		let runs = 0;
		const work = async () => {
			runs += 1;
			return runs;
		};
		const ask = () => withLockUnlessBusy(scratch.path("a"), { waitMs: 50 }, work);
		expect(await withLock(scratch.path("a"), { waitMs: 0 }, ask)).toBe("busy");
		expect(runs).toBe(0);
		expect(await ask()).toBe(1);
	});

	it("lets an inner lock that is busy be an error of its own", async () => {
		const inner = () => withLock(scratch.path("b"), { waitMs: 0 }, () => undefined);
		const outer = () => withLockUnlessBusy(scratch.path("a"), { waitMs: 1000 }, inner);
		await expect(withLock(scratch.path("b"), { waitMs: 0 }, outer)).rejects.toThrow(LockBusyError);
	});
});
