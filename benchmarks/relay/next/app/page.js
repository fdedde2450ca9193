export default function Page() {
  return <p>Two relays to measure against: /tutorial and /sdk.</p>;
}
