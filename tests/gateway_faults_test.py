"""weir gateway while one of its upstreams fails, a row of fault_table.py each: what clients see, what the fleet has to carry, what it is called."""

import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import fault_table  # noqa: E402

# A gateway that has just begun has few retries to spend (a tenth of its requests, and ten a second): a quarter of these pay for what 8 clients
# lose until the breaker opens.
REQUESTS, CLIENTS = 600, 8


class FaultTable(unittest.TestCase):
    def test_each_fault(self):
        for fault in fault_table.FAULTS:
            with self.subTest(fault.name):
                try:
                    row = fault_table.run(fault, REQUESTS, CLIENTS)
                except fault_table.NotPermitted as error:
                    print(f"{fault.name}: left out: {error}")
                    continue
                print(fault_table.line(row, False), flush=True)
                self.assertEqual(row.wrong, [])
                self.assertGreaterEqual(row.success, 0.999)
                self.assertEqual(row.silent, 0)
                self.assertLessEqual(row.load, 1.1)


if __name__ == "__main__":
    unittest.main()
