"""Write one HTML page with all results of predictions files.

python run_report.py [FILES or FOLDER] --output report.html [--figures FOLDER]
"""

from options import run
from evaluate.report.page import ReportConfig, write_report

run(ReportConfig, write_report)
