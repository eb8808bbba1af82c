import { expect, it } from "vitest";
import type { AccountId } from "../../../../src/core/ids.ts";
import { createSharedPin } from "../../../../src/platform/shared-pool/shared-pin.ts";
import { anId } from "../../../support/ids.ts";

/** The pin of one machine, whose accounts are all shared. */
function aPin() {
	let pinned: AccountId | undefined;
	const setPin = async (id: AccountId | undefined) => {
		pinned = id;
	};
	const pin = createSharedPin({ state: { pin: () => pinned, setPin }, isShared: () => true });
	const move = (account: AccountId) => {
		const before = pinned;
		pinned = account;
		pin.moved(before, account);
	};
	return { ...pin, move, pinned: () => pinned };
}

it("does not go back to what a look has seen that began before the last push", () => {
	const pin = aPin();
	pin.take({ account: undefined, version: 0 });
	pin.move(anId("a"));
	pin.wasPushed({ account: anId("a"), version: 1, isWritten: true });
	pin.move(anId("b"));
	pin.wasPushed({ account: anId("b"), version: 2, isWritten: true });

	expect(pin.take({ account: anId("a"), version: 1 })).toBe(false);
	expect(pin.pinned()).toBe("b");
	expect(pin.take({ account: anId("c"), version: 3 })).toBe(true);
	expect(pin.pinned()).toBe("c");
});
