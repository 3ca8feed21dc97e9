/** What the supervisor tells the daemon of a call that it relays, as headers of HTTP. */

/** Names one call over all its attempts. */
export const CALL_ID_HEADER = 'x-ipfs-volume-call';

/** `1` where an earlier attempt of the call may have had its effect. */
export const REPEATED_HEADER = 'x-ipfs-volume-repeated';

/** `1` where the caller of this call has gone. */
export const GIVEN_UP_HEADER = 'x-ipfs-volume-given-up';
