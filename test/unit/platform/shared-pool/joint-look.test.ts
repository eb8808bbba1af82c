import { describe, expect, it } from "vitest";
import { createJointLook } from "../../../../src/platform/shared-pool/joint-look.ts";
import type { Asker } from "../../../../src/platform/shared-pool/types.ts";

interface Started {
	readonly asker: Asker | undefined;
	readonly end: () => void;
	readonly fail: (error: Error) => void;
}

function aLook() {
	const started: Started[] = [];
	const look = createJointLook(
		(asker) => new Promise((resolve, reject) => started.push({ asker, end: resolve, fail: reject })),
	);
	return { started, look };
}
const aTick = () => new Promise((resolve) => setImmediate(resolve));

describe("a look at the database", () => {
	it("is shared by all who ask before it begins, and followed by one for those who ask during it", async () => {
		const { started, look } = aLook();
		const first = [look(), look()];
		await aTick();
		const second = [look(), look()];
		await aTick();
		expect(started).toHaveLength(1);

		started[0]?.end();
		await Promise.all(first);
		await aTick();
		expect(started).toHaveLength(2);
		started[1]?.end();
		await Promise.all(second);
		expect(started).toHaveLength(2);
	});

	it("goes on for others when one of those who wait for it stops, and ends when the last one does", async () => {
		const { started, look } = aLook();
		const [one, other] = [new AbortController(), new AbortController()];
		const looks = [look({ signal: one.signal }), look({ signal: other.signal })];
		await aTick();

		one.abort(new Error("stopped"));
		await expect(looks[0]).rejects.toThrow("stopped");
		expect(started[0]?.asker?.signal?.aborted).toBe(false);
		other.abort(new Error("stopped too"));
		await expect(looks[1]).rejects.toThrow("stopped too");
		expect(started[0]?.asker?.signal?.aborted).toBe(true);
	});

	it("that fails is no reason for the next one to fail", async () => {
		const { started, look } = aLook();
		const first = look();
		await aTick();
		const second = look();
		started[0]?.fail(new Error("away"));
		await expect(first).rejects.toThrow("away");
		await aTick();
		started[1]?.end();
		await expect(second).resolves.toBeUndefined();
	});
});
